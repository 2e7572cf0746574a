package store

import "slices"

// simEvenRate is a bound of firing that a simulation does not reach within the time
// that it lets pass after each operation.
const simEvenRate = 20_000

// simBucket is the model of Options.FireRate: no more can have fired within any time
// than it refills plus what it holds.
type simBucket struct {
	perSecond int64
	tokens    float64
	lastMs    int64
	backs     int // as of sim: a clock that is set back measures no time
	opens     int // since it was filled: each process begins with a full one
}

func (b *simBucket) holds() float64 { return max(float64(b.perSecond)*paceSaved/1000, 1) }

// fillRate begins anew, with what each process since the last time may have had.
func (m *sim) fillRate() {
	b := &m.rate
	b.perSecond, b.backs = m.opts.FireRate, m.backs
	b.tokens = b.holds() * float64(1+b.opens)
	b.opens, b.lastMs = 0, 0
}

// checkRate takes in when messages fired.
func (m *sim) checkRate(firedMs []int64) {
	b := &m.rate
	if b.perSecond == 0 || b.backs != m.backs || b.opens > 0 || m.jumbled {
		return
	}
	slices.Sort(firedMs)
	for _, ms := range firedMs {
		if b.lastMs != 0 && ms > b.lastMs {
			refilled := min(b.tokens+float64(b.perSecond*(ms-b.lastMs))/1000, b.holds())
			b.tokens = max(b.tokens, refilled) // of an earlier process there may be more
		}
		b.lastMs = max(b.lastMs, ms)
		if b.tokens--; b.tokens < -1e-6 {
			m.t.Fatalf("step %d: more than %d messages per second fire at %d", m.step, b.perSecond, ms)
		}
	}
}
