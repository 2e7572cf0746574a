package store

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/segment"
)

// simStory is a day in the life of a store, in which everything happens that
// touches the disk: new queues, messages for all lanes, full segments, firing,
// runs, checkpoints, a deleted topic, retention that recycles, a restart.
func simStory() []simOp {
	a, b := queueKey{"a", 0}, queueKey{"b", 1}
	return []simOp{
		{kind: "put", queue: a, n: 3, delays: []int64{0, 10, 3 * 3600_000}, size: 100},
		{kind: "put", queue: b, n: 4, delays: []int64{5000, 30 * 3600_000, 97 * 3600_000, 0}, size: 3000},
		{kind: "advance", ahead: time.Minute},
		{kind: "flush index"},
		{kind: "burst", queue: a, n: 30, delays: []int64{1000, 1001, 0}, size: 2500},
		{kind: "advance", ahead: 2 * time.Second},
		{kind: "burst", queue: b, n: 60, delays: []int64{700}, size: 8},
		{kind: "advance", ahead: 2 * time.Second, meddle: true},
		{kind: "checkpoint"},
		{kind: "cancel", n: 3},
		{kind: "cancel late", queue: a, n: 4},
		{kind: "put", queue: queueKey{"a", 1}, n: 1, delays: []int64{60_000}, size: 10},
		{kind: "delete", queue: a},
		{kind: "put", queue: a, n: 2, delays: []int64{0, 7200_000}, size: 10},
		{kind: "expire"},
		{kind: "burst", queue: a, n: 30, delays: []int64{0, 600_000}, size: 3000},
		{kind: "reopen"},
		{kind: "advance", ahead: time.Hour},
		{kind: "put", queue: b, n: 2, delays: []int64{0, 1}, size: 20},
	}
}

// simEpilogue is what comes after a crash: messages where the log ended, an index
// that needs none of the log, and a kill.
func simEpilogue() []simOp {
	a := queueKey{"a", 0}
	return []simOp{
		{kind: "put", queue: a, n: 2, delays: []int64{0, 5}, size: 100},
		{kind: "flush index"},
		{kind: "put", queue: a, n: 1, delays: []int64{0}, size: 10, fuse: forever / 2},
	}
}

// simSweepEvery leaves out operations of the sweep to bound the time it takes;
// the start is another one each time. DUELOG_SIM_SWEEP=1 leaves out none.
func simSweepEvery(t *testing.T) int {
	if s := os.Getenv("DUELOG_SIM_SWEEP"); s != "" {
		var n int
		_, err := fmt.Sscan(s, &n)
		require.NoError(t, err)
		return n
	}
	return 211
}

// TestCrashAtEveryOperationOnTheDisk ends the story at its k-th write, sync,
// rename or the like, for every k, by a kill and by a power loss.
func TestCrashAtEveryOperationOnTheDisk(t *testing.T) {
	every := simSweepEvery(t)
	simModes(func(flush commitlog.FlushPolicy, power bool) {
		x := simTale{story: simStory(), flush: flush, power: power}
		total := x.tell(t, forever).ops
		require.Greater(t, total, 100)
		for k := 1 + rand.IntN(every); k <= total; k += every {
			x.tell(t, k)
		}
	})
}

// TestCrashAtEveryOperationOfAnEvacuation does the same with messages of the far future,
// with and without a part of the segments that stays behind: while they move, and in the
// months that follow, in which they fire and go.
func TestCrashAtEveryOperationOfAnEvacuation(t *testing.T) {
	every := simSweepEvery(t)
	for _, cut := range []bool{false, true} {
		x := simTale{story: simFarStory(cut), tick: simFarTick}
		all := x.tell(t, forever)
		require.GreaterOrEqual(t, all.files, 2, "cold files")
		require.Equal(t, cut, all.cuts > 0, "segments that were cut")
		require.Greater(t, all.moved, all.moving+100)
		t.Logf("cut %v: %d operations on the disk, messages move in those from %d to %d", cut, all.ops, all.moving, all.moved)
		simModes(func(flush commitlog.FlushPolicy, power bool) {
			x.flush, x.power = flush, power
			for k := all.moving + 1 + rand.IntN(every); k <= all.ops; k += every {
				x.tell(t, k)
			}
		})
	}
}

// simModes calls f for both policies of flush, with a kill and with a power loss.
func simModes(f func(flush commitlog.FlushPolicy, power bool)) {
	for _, flush := range []commitlog.FlushPolicy{commitlog.Sync, commitlog.Async} {
		for _, power := range []bool{false, true} {
			f(flush, power)
		}
	}
}

// simTale is a story that ends with a crash.
type simTale struct {
	story []simOp
	tick  time.Duration // of the keeper; 0 = an hour
	flush commitlog.FlushPolicy
	power bool
}

// simTold is what happened before the crash.
type simTold struct {
	ops           int // operations on the disk
	moving, moved int // such numbers, before the first and after the last evacuation
	files, cuts   int // most cold files, and segments that were cut
}

func (x *simTale) options() Options {
	return Options{
		Flush: x.flush, Writer: segment.Pwrite, SegmentSize: 64 << 10, DelaySegmentSize: 64 << 10, JournalSegmentSize: 64 << 10,
		FireBatch: 7, FlushEvery: time.Minute, Keys: simKeys, manifestLimit: 4 << 10, MemtableAge: time.Hour, CheckpointEvery: 10 * time.Minute, horizon: 12 * time.Hour,
		keeperTick: cmp.Or(x.tick, time.Hour), mergeAbove: 2, Retention: 72 * time.Hour, ScheduledRetention: 48 * time.Hour,
	}
}

// tell tells the story with a crash at operation k of the disk.
func (x *simTale) tell(t *testing.T, k int) (told simTold) {
	dir := simDir(t)
	defer os.RemoveAll(dir)
	ok := false
	defer func() {
		if !ok {
			t.Logf("%v power %v, crash at operation %d", x.flush, x.power, k)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		m := startSim(t, dir, uint64(k), x.options())
		defer m.end()
		m.disk.setFuse(k)
		m.tryOpen()
		for _, op := range x.story {
			if m.s == nil || m.disk.burnt() {
				break
			}
			before := m.disk.count()
			m.operate(op, func(int, string) int { return 0 })
			told.take(m, &op, before)
		}
		told.ops = m.disk.count()
		if m.disk.burnt() {
			m.crash(x.power, k%40)
			m.verify()
			for _, op := range simEpilogue() { // what the crash left must bear another one
				m.operate(op, func(int, string) int { return 0 })
			}
		}
		m.disk.setFuse(forever)
		m.payloadsStay()
		m.finish()
	})
	ok = !t.Failed()
	return told
}

// take takes in an operation of the story that began at operation before of the disk.
func (x *simTold) take(m *sim, op *simOp, before int) {
	if op.kind == "evacuate" {
		if x.moving == 0 {
			x.moving = before
		}
		x.moved = m.disk.count()
	}
	files, cuts := m.coldFiles()
	x.files, x.cuts = max(x.files, files), max(x.cuts, cuts)
}

// TestSameOperationsSameDeliveries runs the same operations under different
// options, which must not show: every queue gets the same messages in the same slots, unless
// the options are so tight that some are refused.
func TestSameOperationsSameDeliveries(t *testing.T) {
	seeds := 1
	if s := os.Getenv("DUELOG_SIM_SEEDS"); s != "" {
		_, err := fmt.Sscan(s, &seeds)
		require.NoError(t, err)
	}
	for range seeds {
		seed := rand.Uint64()
		var want [][]int
		for variant := range uint64(3) {
			got, busy := simDeliveries(t, seed, variant)
			if busy {
				t.Logf("seed %d, options %d: refuses some of it, and the rest is not compared", seed, variant)
				continue
			}
			if want == nil {
				want = got
			}
			require.Equal(t, want, got, "seed %d, options %d", seed, variant)
		}
	}
}

// simDeliveries returns, for each queue in the order of their creation, the ids
// of the messages in its slots, and whether the store was too busy for some.
func simDeliveries(t *testing.T, seed, variant uint64) (all [][]int, busy bool) {
	dir := simDir(t)
	defer os.RemoveAll(dir)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d, options %d", seed, variant)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		settings, operations := rand.New(rand.NewPCG(seed, 2+variant)), rand.New(rand.NewPCG(seed, 1))
		choose := func(n int, _ string) int { return settings.IntN(n) }
		o := simOptions(choose)
		simSizes(&o, choose)
		m := startSim(t, dir, seed, o)
		defer m.end()
		m.even = true
		m.opts.FireRate = min(m.opts.FireRate*simEvenRate, simEvenRate)
		m.open()
		for range 15 {
			op := simOperation(func(n int, _ string) int { return operations.IntN(n) })
			op.fuse, op.space, op.moving = 0, 0, 0
			switch op.kind {
			case "cancel late":
				op.kind = "cancel" // a race has no result to compare
			case "eve":
				op.kind, op.ahead = "advance", 40*time.Hour // as late as the options say; nothing is past its retention unseen
			}
			m.operate(op, choose)
		}
		m.finish()
		busy = m.refused
		for _, q := range m.every {
			ids := make([]int, 0, q.end)
			for slot := range q.end {
				ids = append(ids, q.slots[slot].msg.id) // without a crash no slot is void
			}
			all = append(all, ids)
		}
	})
	return all, busy
}
