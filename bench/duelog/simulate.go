package duelog

import (
	"context"
	"path/filepath"
	"time"

	"github.com/duelog/duelog/bench/probe"
	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// simulated makes a store small: a simulation has thousands of messages a day, not
// millions. Files, which are sealed by their age, are in about the proportion to a
// day's messages that they have in a busy broker, and the disk does not decide when a
// simulated day ends.
func simulated(o *store.Options, c *store.ManualClock) {
	o.Clock = c
	o.Flush = commitlog.Async
	o.SegmentSize, o.DelaySegmentSize, o.JournalSegmentSize = 1<<20, 1<<20, 256<<10
	o.FireBatch = 4096
	o.MemtableBytes, o.MemtableAge = 128<<10, 24*time.Hour
}

// Simulate implements bench.Simulator.
func (e *Embedded) Simulate(from time.Time) { e.clock = store.NewManualClock(from) }

// Advance implements bench.Simulator.
func (e *Embedded) Advance(ctx context.Context, to time.Time) error {
	e.clock.Advance(to)
	if err := e.store.Settle(ctx); err != nil {
		return err
	}
	return e.store.Maintain(ctx)
}

// Weigh implements bench.Simulator. Of the files that are bounded whatever the store
// holds, the journal counts with what is used of it and the MANIFEST not at all: in a
// store of a few thousand messages a day they would outweigh these.
func (e *Embedded) Weigh(ctx context.Context) (stored int64, written map[string]int64, err error) {
	sp, err := e.store.Space(ctx)
	if err != nil {
		return 0, nil, err
	}
	stored = sp.Journal
	for i := range sp.Lanes {
		stored -= sp.Lanes[i].Sum().Reserved
	}
	for _, dir := range []string{"commitlog", "delayindex", "consumequeue"} {
		d, err := probe.DiskUsage(filepath.Join(e.dir, "data", dir))
		if err != nil {
			return 0, nil, err
		}
		stored += d.Allocated
	}
	st := e.store.Stats()
	written = map[string]int64{}
	for i, n := range st.WrittenBytes {
		written[store.ClassName(i)] = n
	}
	return stored, written, nil
}
