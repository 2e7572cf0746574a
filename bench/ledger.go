package bench

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"
)

// ledger knows what was sent and holds every message that comes against it. Ids
// run from 0 to n-1; to the system, whose ids are unique within a run, they are
// base higher. It takes two bits a message, so that a hundred million of
// them can be checked. Any goroutine may call it.
type ledger struct {
	series uint64
	base   uint64
	n      int64
	size   int // of every body, bytes

	acked, came bitset
	verdict     counters
	lateness    *recorder
	arrivals    *timeline
	firstNs     atomic.Int64 // when the first message came
	lastNs      atomic.Int64 // and the last one
}

type counters struct {
	acked, refused, delivered  atomic.Int64
	early, duplicates, altered atomic.Int64
}

func newLedger(series uint64, n int64, size int, start time.Time) *ledger {
	return &ledger{
		series: series, n: n, size: size,
		acked: newBitset(n), came: newBitset(n),
		lateness: newRecorder(), arrivals: newTimeline(start),
	}
}

// ack notes how the sending of id ended.
func (l *ledger) ack(id uint64, err error) {
	switch {
	case err != nil:
		l.verdict.refused.Add(1)
	case id < uint64(l.n) && l.acked.set(id):
		l.verdict.acked.Add(1)
	}
}

// receive notes a message of this series that arrived, with its label.
func (l *ledger) receive(b label, at time.Time) {
	if b.id >= uint64(l.n) {
		l.verdict.altered.Add(1)
		return
	}
	if !l.came.set(b.id) {
		l.verdict.duplicates.Add(1)
		return
	}
	ns := at.UnixNano()
	if ns < b.dueNs {
		l.verdict.early.Add(1)
	}
	l.lateness.record(floorDiv(ns-b.dueNs, 1000))
	l.arrivals.add(at)
	l.firstNs.CompareAndSwap(0, ns)
	raise(&l.lastNs, ns)
	l.verdict.delivered.Add(1)
}

// forgetArrivals begins again with what came, which was nothing to be counted.
func (l *ledger) forgetArrivals() { clear(l.came) }

// list notes a message that waits for due. Messages of other ledgers are passed over.
func (l *ledger) list(body []byte, due time.Time) {
	b, err := parseBody(body, l.size)
	switch {
	case err == nil && b.series != l.series:
	case err != nil || b.id >= uint64(l.n):
		l.verdict.altered.Add(1)
	case !l.came.set(b.id):
		l.verdict.duplicates.Add(1)
	case b.dueNs > due.UnixNano():
		l.verdict.early.Add(1)
	case b.dueNs < due.UnixNano():
		l.verdict.altered.Add(1)
	}
}

// floorDiv rounds down also below zero: 0.3 us early is not on time.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func raise(v *atomic.Int64, to int64) {
	for {
		old := v.Load()
		if old >= to || v.CompareAndSwap(old, to) {
			return
		}
	}
}

// complete reports whether every acknowledged message came.
func (l *ledger) complete() bool { return l.verdict.delivered.Load() >= l.verdict.acked.Load() }

// check closes the book. With delivered it demands that everything acknowledged
// came or was listed, each once, unaltered and not early; without, it demands that
// everything was acknowledged, and only of what came or was listed the same.
func (l *ledger) check(delivered bool) error {
	v := Verdict{
		Refused: l.verdict.refused.Load(), Early: l.verdict.early.Load(),
		Duplicates: l.verdict.duplicates.Load(), Altered: l.verdict.altered.Load(),
		Unacknowledged: l.n - l.verdict.acked.Load() - l.verdict.refused.Load(),
	}
	var missing []Missing
	if delivered {
		v.Lost = l.acked.without(l.came)
		missing = l.missing(func(id uint64) (Missing, bool) { return Missing{ID: l.base + id}, true })
	}
	if v == (Verdict{}) {
		return nil
	}
	return &VerdictError{Verdict: v, Missing: missing}
}

// missing describes the first of the messages that were acknowledged and did not come,
// of those that describe knows.
func (l *ledger) missing(describe func(id uint64) (Missing, bool)) (out []Missing) {
	for i := range l.acked {
		for left := l.acked[i].Load() &^ l.came[i].Load(); left != 0; left &= left - 1 {
			if m, ok := describe(uint64(i*64 + bits.TrailingZeros64(left))); ok {
				out = append(out, m)
			}
			if len(out) == namedMissing {
				return out
			}
		}
	}
	return out
}

// wrote reports whether body is that of the message that was published as id.
func (l *ledger) wrote(id uint64, body []byte) bool {
	lab, err := parseBody(body, l.size)
	return err == nil && lab.series == l.series && l.base+lab.id == id
}

// Verdict counts what must not happen.
type Verdict struct {
	Lost           int64 // acknowledged, and did not come
	Duplicates     int64 // came again
	Early          int64 // came before its time
	Altered        int64 // came with other bytes, or was never sent
	Refused        int64 // was refused by the system
	Unacknowledged int64 // was neither acknowledged nor refused
}

// add adds the counts of o.
func (v *Verdict) add(o Verdict) {
	v.Lost += o.Lost
	v.Duplicates += o.Duplicates
	v.Early += o.Early
	v.Altered += o.Altered
	v.Refused += o.Refused
	v.Unacknowledged += o.Unacknowledged
}

// VerdictError fails a run whose system did not keep what it promises. A run that
// failed has no figures.
type VerdictError struct {
	Verdict
	Missing []Missing // the first of those that are lost, as far as they are known
}

func (e *VerdictError) Error() string {
	return fmt.Sprintf("messages lost %d, duplicate %d, early %d, altered %d, refused %d, not acknowledged %d",
		e.Lost, e.Duplicates, e.Early, e.Altered, e.Refused, e.Unacknowledged) + describeMissing(e.Missing)
}

// bitset is a set of ids.
type bitset []atomic.Uint64

func newBitset(n int64) bitset { return make(bitset, (n+63)/64) }

// set adds id and reports whether it was not in the set.
func (b bitset) set(id uint64) bool {
	bit := uint64(1) << (id % 64)
	return b[id/64].Or(bit)&bit == 0
}

// without counts the ids of b that are not in other.
func (b bitset) without(other bitset) int64 {
	var n int64
	for i := range b {
		n += int64(bits.OnesCount64(b[i].Load() &^ other[i].Load()))
	}
	return n
}
