// Package server turns the parts of duelog into one running process: it reads
// the configuration, takes the ports and the store, wires the engine to the
// wire protocol, and stops all of it in order.
//
// # Life of a process
//
//	configuration   default < file < environment < flag; every value knows its origin
//	acquire         all listeners, then the store with its lock and recovery
//	serve           broker, VIP (broker port - 2), name server, admin HTTP
//	stop            /readyz 503, sends refused, replies drained, checkpoint, close
//
// Nothing is served before everything is acquired: a process that lacks a port
// or the store exits with an error and has answered nobody. (A broker that
// accepts messages although half of it failed to start is worse than none.)
//
// # Listeners
//
// Broker, VIP and name server run the same handler, because the request codes
// of the two roles do not overlap. A client may therefore use any of the three
// addresses as its name server. Admin HTTP is separate and speaks no RocketMQ:
//
//	/metrics   Prometheus text
//	/healthz   200 unless the store has failed: 503 and the reason
//	/readyz    200 from the first served request until the stop begins, except
//	           while the store takes no writes: 503 and the reason
//	/debug/pprof/...   only with --pprof
//
// # Stopping
//
// The first SIGTERM or SIGINT starts the stop: new messages are refused with
// code 14 while what was accepted is completed and answered; then the broker
// saves its offsets and the store writes a checkpoint, so that the next start
// has nothing to replay. A second signal exits at once; the store recovers from
// that as it does from a crash, without losing anything acknowledged under
// --flush sync.
//
// # Concurrency
//
// New, Serve and Close belong to one goroutine. The accessors of Server may be
// called from any.
//
// The package holds no protocol and no storage logic; those are in
// server/broker, server/namesrv, server/remoting and store.
package server
