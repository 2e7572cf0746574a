// Package e2e runs the real duelogd under the stock clients of Apache
// RocketMQ, as an application would use them: the Java clients 4.9 and 5.5, the
// Go client, and the Python client, which is the C++ client underneath.
//
// It is a module of its own, so that the product does not depend on a client.
// It keeps to the outside: it starts the duelogd binary with flags on free
// loopback ports, and knows nothing else of the product.
//
// # What a run needs
//
// Go builds duelogd and the Go driver. A JDK from 11 on with Maven, and Python 3
// with pip on x86-64 Linux, run the other clients, whose packages are fetched
// once into the cache directory, ~/.cache/duelog-e2e. The tests of a client whose
// runtime the machine lacks are skipped and say what is missing.
//
//	DUELOG_E2E_REQUIRE=1   a missing runtime fails the tests instead
//	DUELOG_E2E_CACHE=DIR   cache directory
//	DUELOG_E2E_BROKER=FILE use this duelogd instead of building one
//	DUELOG_E2E_KEEP=DIR    keep data directories and logs there
//
// # How it works
//
// Each client has a small driver program below drivers, which does what the
// tests tell it with that client's own API, so one scenario serves all. A client
// has one driver process and one broker of its own; its scenarios run at the same
// time, because they mostly wait, and after them those that kill the broker.
//
// A driver reads commands from standard input and writes answers to standard
// output, one form-encoded record per line. An answer carries the id of its
// command, and either what was asked for or the fields error (class of the
// client's exception), code (of the broker, 0 if the client does not tell) and
// text. It logs to standard error. End of input ends it.
//
//	op=produce  name group instance [transactional sharded vip]
//	op=send     producer mode topic body [tags keys prop.X delay value shard count]
//	            -> began ended [status msg_id queue offset handle]
//	op=query    producer topic, and msg_id or key from to
//	            -> count message.0 message.1 ..., records as below
//	op=recall   producer topic handle -> msg_id
//	op=consume  name group instance topic expression fail [ordered properties]
//	op=stop     name
//
// A message that a consumer received is a record with the field consumer instead
// of an id. Bodies are in base64; times are milliseconds since 1970 by the clock
// of the machine, which is also the broker's.
package e2e
