// Package remoting speaks RocketMQ's remoting protocol: it turns bytes into
// [Command] values and back, and serves connections in both roles. It knows no
// topic and no store.
//
// # Frame
//
// All integers are big endian.
//
//	size  field
//	   4  length of everything that follows
//	   4  header word: top byte the form of the header, low 24 bits its length
//	   n  header
//	   .  body, the rest
//
// The form is [JSON] (0) or [Binary] (1); an answer has the form of its request.
//
//	JSON    {"code":10,"language":"GO","version":513,"opaque":1,"flag":0,
//	         "remark":"..","serializeTypeCurrentRPC":"JSON","extFields":{"k":"v"}}
//	Binary  code i16, language u8, version i16, opaque i32, flag i32,
//	        remark (u32 length, bytes), extFields (u32 length of all, then
//	        key u16 length, bytes, value u32 length, bytes, repeated)
//
// opaque pairs a response with its request, for each direction on its own. flag
// bit 0 marks a response, bit 1 a request that wants none.
//
// # Tolerance
//
// What clients really send is accepted: numbers, truth values and null in
// extFields, any white space, members that are unknown or missing, languages by
// name or number, and the pop codes (200050 and up) truncated to 16 bits in the
// binary form. What is sent is strict: compact JSON, extFields always there and
// always strings.
//
// JSON headers are decoded by hand, without allocation and without copying. The
// hand decoder gives up on anything unusual and encoding/json decides; the two
// are fuzzed against each other.
//
// # Errors on the wire
//
// A frame that is whole but has a malformed header is answered with code 1 if an
// opaque can be found in it, counted, and the connection lives on. A length that
// cannot be, or an unknown form, means that the framing is lost: the connection
// is closed and counted. No length field makes anyone allocate: buffers grow as
// bytes arrive.
//
// # Concurrency
//
// A [Conn] has two goroutines. The reader decodes and calls the [Handler], one
// request after the other. The writer takes what was queued, by swapping two
// queues of pooled buffers, and writes it. Sending from any goroutine only appends
// to a buffer; it never blocks on the network. While the reader still has frames
// at hand the writer waits (until there are 64 KiB, for 2 ms, or until [Conn.Flush],
// whichever is first), so the answers to a burst go out in one system call, and
// none of them waits for a handler that blocks. An idle connection holds a read buffer of
// 4 to 64 KiB and nothing else.
//
// A peer that does not read stops being read from when half of MaxOutBytes are
// queued for it, and is closed when all of it is. [Conn.Congested] tells the first
// of the two, so that a handler may leave out what is large.
//
// A [Server] sweeps its connections a few times per timeout instead of setting
// deadlines, so IdleTimeout and FirstFrameTimeout are exact to an eighth of the
// shorter one.
//
// Locks: Server.mu, callTable.mu, valueTable.mu and Conn.mu are leaves; none is
// held while another is taken, nor while a handler or callback runs.
//
// # What it does not do
//
// No TLS, no reconnecting, no retries, no order among responses.
package remoting
