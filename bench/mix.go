package bench

import (
	"fmt"
	"slices"
	"time"
)

// Mix is a distribution of delays. The delay of a message follows from its id, so
// that nobody has to remember it.
type Mix string

// The mixes. Now sends ordinary messages.
const (
	MixNow      Mix = "now"
	MixHalfHour Mix = "30min"  // constant
	MixYear     Mix = "year"   // uniform between an hour and 365 days
	MixSecond   Mix = "second" // all in one second, an hour ahead
	MixEveryday Mix = "90-9-1" // 90 % 30 min, 9 % a day, 1 % uniform between 30 and 365 days
	day             = 24 * time.Hour
	secondAhead     = time.Hour
	yearAtLeast     = time.Hour
	yearAtMost      = 365 * day
	farAtLeast      = 30 * day
)

// Mixes lists all of them.
var Mixes = []Mix{MixNow, MixHalfHour, MixYear, MixSecond, MixEveryday}

// Validate returns an error for a word that is no mix.
func (m Mix) Validate() error {
	if !slices.Contains(Mixes, m) {
		return fmt.Errorf("%q is no mix of delays; use one of %v", string(m), Mixes)
	}
	return nil
}

// delay returns how far ahead message id is due, in whole milliseconds.
func (m Mix) delay(id uint64) time.Duration {
	r := scramble(id)
	switch m {
	case MixHalfHour:
		return 30 * time.Minute
	case MixYear:
		return between(r, yearAtLeast, yearAtMost)
	case MixSecond:
		return between(r, secondAhead, secondAhead+time.Second)
	case MixEveryday:
		switch p := r % 100; {
		case p < 90:
			return 30 * time.Minute
		case p < 99:
			return day
		}
		return between(scramble(r), farAtLeast, yearAtMost)
	}
	return 0
}

// between maps r evenly onto [from, to).
func between(r uint64, from, to time.Duration) time.Duration {
	return from + time.Duration(r%uint64((to-from)/time.Millisecond))*time.Millisecond
}

// scramble is the finalizer of SplitMix64: neighbours become unrelated.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
