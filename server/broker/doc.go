// Package broker turns the request codes of a RocketMQ broker into calls of the
// store: it is where topics, consumer groups, offsets, tags and delay levels
// mean something. Bytes and connections are package remoting's business, the
// stored message is package message's, time and disk are package store's.
//
// # How it is put together
//
// A Broker is a remoting.Handler: Handle looks the request code up in a table
// and calls one function, in a file that opens with what the code does. The
// rest is tables in memory:
//
//	topics   name -> Topic          durable before visible   topics.json
//	groups   name -> Group          durable before visible   groups.json
//	offsets  group, topic, queue    written every 5 s        offsets.json
//	clients  group -> connections   by heartbeat, 120 s
//	locks    queue -> client        by request, 60 s
//	hold     waiting pulls          until message or deadline
//
// A Topic or Group never changes; an update publishes another one. What a
// handler got from a table it may use until it returns.
//
// # Promises
//
//   - Durability: a send is acknowledged when the store says that it is durable by
//     its flush policy. A topic or group is on disk before anybody can see it. Offsets
//     may be lost for as long as Options.OffsetsEvery in a crash; consumers then get
//     the messages of that time again.
//   - Order: a pull sees a queue's messages in slot order. Answers to different
//     requests of one connection may overtake each other; clients match by opaque.
//   - Long polls: a pull that finds nothing is answered at the moment a message for
//     it becomes visible, or at its deadline, not at the next tick of a timer.
//   - A damaged record is skipped, counted (duelog_damaged_records_total) and logged.
//     It never stops a consumer, and its bytes never reach one.
//   - A refused send has stored nothing, and is counted with its reason.
//
// # Concurrency
//
// Handle runs on the reader goroutine of a connection; it blocks only for the
// first use of a name (a file write) and for reading messages that are no longer
// in memory. Locks are leaves, held for map operations, except that a change of
// topics or groups holds its write lock across the file write. Lock order: a
// store queue's watch lock, then hold's.
//
// # What it does not do
//
// It has no slaves, no access control and no SQL92 filters, and it never
// decompresses a body.
package broker
