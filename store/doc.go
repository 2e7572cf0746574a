// Package store is the engine's one door: it keeps messages on disk and makes
// each one visible in its consume queue at its fire time, to the millisecond.
// It knows nothing of networks or of any protocol; a payload is opaque to it.
// A program that embeds it calls Open, Queue, Put and Queue.Read; the runnable
// Example shows all of them.
//
// # Life of a message
//
//	Put ──> lane (commitlog) ──> durable ──┬─ due now ──> consume queue slot, acknowledged
//	                                       └─ later ────> delay index entry, acknowledged
//	                                                         │  (near wheel within the horizon)
//	           visible <── consume queue <── journal batch <─┘  dispatcher, at the fire time
//
// A body is written to the lane of its delay class. If it waits for more than four
// days it moves once, compressed, to a cold file (evacuate.go). It never moves
// while a journal batch or a consume queue refers to it.
//
// # Promises
//
//   - Durability: Put returns (or completes) after the message is durable by the
//     flush policy in force: commitlog.Sync means fdatasync, commitlog.Async means
//     written to the page cache and synced within Options.FlushEvery.
//   - Time: a message is never visible before its fire time by the machine's wall
//     clock. A fire time that has passed makes it visible at once; one beyond
//     Options.MaxDelay is refused with ErrTooFar and stores nothing.
//   - Order: within a queue scheduled messages become visible in fire-time order,
//     ties in arrival order. A message that arrives after its millisecond was
//     fired comes as soon as it is durable.
//   - Fairness: a topic that has fired more than its share while firing is behind the
//     clock lets the others go first. Its own queues keep their order.
//   - Once: without a crash a message gets exactly one slot. After a crash it may
//     fire again only if its first firing was not yet in a durable journal batch,
//     in which case nobody saw it in Sync mode.
//
// # Invariants
//
//	I1 runs and memtables tile every lane exactly once.
//	I2 an entry is done iff (fire <= F and its offset < A of its lane) or it stands in the journal;
//	   during a split, F is later for some topics than for others.
//	I3 a location in a queue or in the journal never moves.
//	I4 a segment, or a unit of 64 KiB of one, goes only when all its records are past
//	   fire + retention and done (I2) by the MANIFEST.
//	I5 nothing is written through a mapping that is not allocated.
//	I6 a queue slot is written once, with one location.
//	I7 acknowledged means durable by the policy in force.
//	I8 a key of an acknowledged message leads to it (Lookup); nothing else depends on the key index.
//
// # Crash argument
//
// Three facts in the MANIFEST say where recovery starts: per lane indexedUpTo
// (everything before it is in a run or done), the mark {F, A[lane]} (I2) and the
// replay point {J, C}: every journal batch before J and every lane-0 frame before
// C is in synced consume queue files. Recovery scans each lane from
// min(indexedUpTo, C) and the journal from J, rebuilds the memtables, puts the
// queue slots again (idempotent, I6), and fires what is due and not done.
//
//   - Crash before a lane frame is durable: the frame is torn or absent, its Put was not acknowledged.
//   - Crash between lane frame and anything else: the scan finds it, since indexedUpTo and C
//     only ever move over frames whose index entries and queue slots are durable.
//   - Crash after slots were given and before the journal batch is durable: nobody saw the slots
//     (they become visible only after the batch), so giving them again is not seen either.
//   - Crash after the journal batch: the replay puts exactly these slots, and I2 keeps the entries from firing again.
//   - Slots whose lane-0 frame was lost while later slots of the queue are durable are filled
//     with void entries, which readers skip; their Put was never acknowledged.
//
// The mark is taken by the dispatcher when everything absorbed and due is fired,
// and only while the wall clock is not behind F, so it stays true across clock steps.
//
// # The split
//
// A topic that had more than its share of a backlog is heavy: it fires from the lag,
// behind the others (see lag). F is then the time up to which all topics are done, and
// the mark says besides up to which later time L the others are, and from which
// position on each heavy queue waits. An entry of a heavy queue is done when it is
// before F or before that position, one of another queue when it is before L. So the
// replay point moves on during a split, however long it lasts, and recovery goes on
// with it: it fires the others from L on, and heavy topics from F on.
//
//   - What waits is read from the delay index again. Nothing of it is covered by the
//     mark, so no flush leaves it out and its run is not dropped.
//   - A position is never before anything that was fired, and a topic's waiting entries
//     come after it. So what is read again was never fired by this process; what the
//     last one fired is in the journal behind the replay point, or covered.
//   - A split ends when everything that is due has fired. All marks of before it and
//     during it stay true.
//
// # Goroutines and locks
//
// Each lane has one writer goroutine (package commitlog). The dispatcher runs on a
// locked OS thread. The loader brings slices of the index into the near wheel. The
// keeper does checkpoints, index flushes and retention. Another goroutine merges and
// drops the runs of the key index. The compactor evacuates segments of far-future
// messages and merges runs of the delay index. Close waits for all of them.
//
// Lock order, outermost first: keepMu, checkpointMu, cancels.writes, registry.mu, catalog.mu, near.mu, cancels.mu, the
// locks inside delayindex, keyindex, commitlog, commitlog/cold and consumequeue, Queue.watch. Nothing is fsynced and no
// callback of the embedder runs under near.mu.
package store
