package tools

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/store"
)

// fileCount is what is counted of one file, before it joins the others.
type fileCount struct {
	s      *spaceCount
	lane   uint8
	base   int64
	groups map[spaceKey]*spaceSum // of messages
	whole  spaceSum
	frees  map[freeKey]*freeing
	pinned bool // by a recalled message whose time has not come
}

func (s *spaceCount) fileCount(lane uint8, base int64) *fileCount {
	return &fileCount{s: s, lane: lane, base: base, groups: map[spaceKey]*spaceSum{}, frees: map[freeKey]*freeing{}}
}

// segment counts the messages of a segment, and what else is in the file.
func (s *spaceCount) segment(ctx context.Context, f segmentFile) error {
	info, _ := segmentInfo(s.m, f.lane, f.base)
	c := s.fileCount(f.lane, f.base)
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: f.lane, Base: f.base, Known: info.End, Whole: !f.last, Limit: sealedEnd(info),
		Visit: func(fr commitlog.Frame) error {
			for it := range fr.Items() {
				c.record(&it, fr.StoreMs, commitlog.RecordHeaderSize+int64(it.Size))
			}
			return ctx.Err()
		},
	})
	if isGone(err) {
		return nil // recycled since it was listed
	}
	if err != nil {
		return fmt.Errorf("count %s: %w", segmentPath(f.lane, f.base), err)
	}
	last := end.Pos
	if info.Sealed {
		last = info.End // what is behind it was given back
	} else if !end.Sealed {
		c.whole.Reserved = f.base + f.size - last
	}
	c.whole.used = last - f.base - givenBackIn(s.m, f.lane, &commitlog.SegmentInfo{Base: f.base, End: last})
	c.whole.Dead += c.whole.used - c.whole.bytes
	c.recycle()
	c.freed(c.whole.goneMs, c.whole.Total())
	c.join()
	return nil
}

// coldFile counts the messages of a cold file, each with its part of its block.
func (s *spaceCount) coldFile(ctx context.Context, info *cold.Info) error {
	f, err := openCold(s.dir, info)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	c := s.fileCount(store.ColdLane, info.Base)
	hole, blocks := int64(0), int64(0)
	for b := range f.Blocks() {
		if b.To <= info.Base+info.DeadTo {
			hole = b.Offset + b.Stored
			continue
		}
		blocks += b.Stored
		if err := errors.Join(c.block(f, b), ctx.Err()); err != nil {
			return err
		}
	}
	c.whole.used = info.FileSize - hole
	c.whole.Dead += c.whole.used - c.whole.SpaceBytes.Total()
	c.recycle()
	c.freed(c.whole.goneMs, c.whole.used-blocks) // header, table and footer
	c.join()
	return nil
}

// block counts the messages of a block.
func (c *fileCount) block(f *cold.File, b cold.BlockInfo) error {
	at, last := int64(0), int64(0)
	for it, err := range f.RecordsOf(b) {
		var lost *cold.BlockError
		if errors.As(err, &lost) {
			return nil // counts as dead; verify tells
		}
		if err != nil {
			return err
		}
		// Parts of a block by position, so that they add up to it.
		next := (it.Loc.Offset() + int64(it.Size) - b.From) * b.Stored / (b.To - b.From)
		last = max(last, c.record(&it, 0, next-at))
		at = next
	}
	c.freed(last, b.Stored)
	return nil
}

// record adds a message that takes bytes on disk by its state, and returns when it dies.
func (c *fileCount) record(it *commitlog.Item, storeMs, bytes int64) (diesMs int64) {
	s := c.s
	sum := &spaceSum{messages: 1, bytes: commitlog.RecordHeaderSize + int64(it.Size), payload: int64(it.Size)}
	diesMs = storeMs + s.retention.Milliseconds()
	state := s.state(it)
	if it.Scheduled() {
		diesMs = it.When + s.scheduledRetention.Milliseconds()
	}
	pending, moved := state == scheduledPending, state == scheduledMoved
	switch {
	case pending:
		diesMs = max(diesMs, s.nowMs+s.scheduledRetention.Milliseconds())
	case state == scheduledFired:
		sum.fired = 1
	}
	switch {
	case moved:
		sum = &spaceSum{bytes: sum.bytes} // it counts where it is now
		sum.Dead = bytes
	case pending:
		sum.Pending = bytes
	case state == scheduledRecalled && diesMs > s.nowMs:
		sum.Dead = bytes
		sum.dies(diesMs)
		c.pinned = true
	case diesMs <= s.nowMs:
		sum.Dead = bytes
	default:
		sum.Live = bytes
	}
	if pending || sum.Live > 0 {
		sum.dies(diesMs)
		c.dying(diesMs, bytes)
	}
	key := s.key(c.lane, c.base, s.names.topic(it.Queue))
	if c.groups[key] == nil {
		c.groups[key] = &spaceSum{}
	}
	c.groups[key].add(sum)
	c.whole.add(sum)
	return diesMs
}

// scheduledState is what became of a message that was scheduled.
type scheduledState int

const (
	notScheduled scheduledState = iota
	scheduledPending
	scheduledFired
	scheduledRecalled
	scheduledMoved // to a cold file
)

func (s *spaceCount) state(it *commitlog.Item) scheduledState {
	_, fired := slices.BinarySearch(s.fired, uint64(it.Loc))
	_, recalled := slices.BinarySearch(s.recalled, uint64(it.Loc))
	e := itemEntry(it)
	switch {
	case !it.Scheduled():
		return notScheduled
	case s.m.Moved(it.When, it.Loc):
		return scheduledMoved
	case recalled && !fired:
		return scheduledRecalled
	case fired, s.m.Covers(&e):
		return scheduledFired
	}
	return scheduledPending
}

// recycle turns what is dead into what is recyclable, if nothing is alive.
func (c *fileCount) recycle() {
	if c.whole.Pending+c.whole.Live > 0 || c.whole.used == 0 || c.pinned {
		return
	}
	for _, sum := range c.groups {
		sum.Recyclable, sum.Dead = sum.Dead, 0
	}
	c.whole.Recyclable, c.whole.Dead = c.whole.Dead, 0
}

// join adds the file to the others: by topic its messages, else all of it.
func (c *fileCount) join() {
	if c.s.by == "topic" {
		for key, sum := range c.groups {
			c.s.put(key, sum)
		}
		return
	}
	c.s.put(c.s.key(c.lane, c.base, ""), &c.whole)
	c.s.putFrees(c.frees)
}
