package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/store"
)

// gather reads journal and queues and sorts what they say by location.
func (c *check) gather(ctx context.Context) error {
	s := newRefSorter("", byLoc)
	err := errors.Join(c.gatherCancelled(ctx), c.gatherJournal(ctx, s), c.gatherQueues(ctx, s))
	if err == nil {
		c.refs, err = s.table()
	}
	if err != nil {
		s.close()
	}
	return err
}

func (c *check) gatherJournal(ctx context.Context, s *refSorter) error {
	used := beginsWithFrame // what the next start takes over
	if c.salvage {
		used = holdsFrame
	}
	files, err := listSegmentsUsed(c.dir, c.m, journalLane, used)
	if err != nil {
		return err
	}
	c.missingSegments(journalLane, files)
	for _, f := range files {
		if err := c.journalFile(ctx, s, f); err != nil {
			return err
		}
	}
	return nil
}

func (c *check) journalFile(ctx context.Context, s *refSorter, f segmentFile) error {
	name := relative(c.dir, f.path)
	info, registered := segmentInfo(c.m, journalLane, f.base)
	if !registered && !c.salvage && !c.adoptable(f) {
		return nil
	}
	at, bad := f.base, int64(-1) // where the last damage ends
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: journalLane, Base: f.base, Known: info.End, Whole: !f.last || info.Sealed, Limit: sealedEnd(info),
		Visit: func(fr commitlog.Frame) error {
			c.count(fr.End - at)
			at = fr.End
			err := store.EachFiring(&fr, func(x store.Firing) error {
				c.totals.fired.Add(1)
				c.lanes[x.Loc.Lane()] = true
				return s.add(ref{loc: x.Loc, slot: x.Slot, ms: x.FiredMs, queue: x.Queue, size: x.Size, tag: x.Tag, kind: refJournal})
			})
			return errors.Join(err, ctx.Err())
		},
		Damaged: func(from, to int64, reason *commitlog.CorruptionError) {
			bad = to
			if !c.hasSegment(journalLane, f.base) && !c.salvage {
				return
			}
			lost := "which messages fired in it: they fire again, into other slots, if the broker is started on it"
			if to <= c.m.ReplayJournal {
				lost = "nothing: the queues have what it said"
			} else {
				c.journalLost = true
			}
			c.find(finding{
				severity: severityDamaged, check: "journal", file: name, offset: from - f.base,
				what: fmt.Sprintf("%d bytes hold no valid batch: %v", to-from, reason.Err), lost: lost, next: c.repairHint(),
			})
		},
	})
	c.journalTorn = c.journalTorn || end.Torn > 0 || bad == end.Pos // behind which nothing was recognised
	return c.readError(err, journalLane, f.base)
}

// gatherCancelled reads the cancel log: which pending messages must not fire. The
// store keeps at most a million of them.
func (c *check) gatherCancelled(ctx context.Context) error {
	files, err := listSegmentsUsed(c.dir, c.m, store.CancelLane, holdsFrame) // of all that nobody else tells
	if err != nil {
		return err
	}
	c.cancelled = map[commitlog.Loc]bool{}
	c.missingSegments(store.CancelLane, files)
	for _, f := range files {
		info, _ := segmentInfo(c.m, store.CancelLane, f.base)
		_, err := commitlog.ScanFile(f.path, commitlog.FileScan{
			Lane: store.CancelLane, Base: f.base, Known: info.End, Whole: !f.last || info.Sealed, Limit: sealedEnd(info),
			Visit: func(fr commitlog.Frame) error {
				return errors.Join(ctx.Err(), store.EachCancel(&fr, func(loc commitlog.Loc, revoked bool) error {
					c.cancelled[loc] = !revoked
					return nil
				}))
			},
			Damaged: func(from, to int64, reason *commitlog.CorruptionError) {
				if c.hasSegment(store.CancelLane, f.base) || info.End == 0 {
					c.find(finding{
						severity: severityLost, check: "cancel", file: relative(c.dir, f.path), offset: from - f.base,
						what: fmt.Sprintf("%d bytes hold no valid frame: %v", to-from, reason.Err),
						lost: "which messages were cancelled: they fire", next: c.repairHint() + ", start the broker on COPY and recall them again (recallMessage of the client)",
					})
				}
			},
		})
		if err := c.readError(err, store.CancelLane, f.base); err != nil {
			return err
		}
	}
	return nil
}

// sealedEnd is a limit for scans: the registered end of a sealed segment, whatever
// became of its seal.
func sealedEnd(info commitlog.SegmentInfo) int64 {
	if info.Sealed {
		return info.End
	}
	return 0
}

// readError forgives a segment that is gone because the store is done with it.
func (c *check) readError(err error, lane uint8, base int64) error {
	if errors.Is(err, fs.ErrNotExist) && !c.hasSegment(lane, base) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", segmentPath(lane, base), err)
	}
	return nil
}

// missingSegments finds registered segments without a file.
func (c *check) missingSegments(lane uint8, files []segmentFile) {
	there := map[int64]bool{}
	for _, f := range files {
		there[f.base] = true
	}
	for _, info := range segmentsOf(c.m, lane) {
		if there[info.Base] || !c.hasSegment(lane, info.Base) {
			continue
		}
		lost := fmt.Sprintf("%d records", info.Records)
		sev := severityLost
		switch {
		case lane == journalLane:
			lost, sev, c.journalLost = "which messages fired since the last checkpoint", severityDamaged, true
		case info.Records == 0:
			lost, sev = "nothing: it was empty at the last checkpoint", severityDamaged
		}
		c.find(finding{
			severity: sev, check: "segment", file: segmentPath(lane, info.Base), what: "registered, but not on disk", lost: lost,
			next: "put the file back from a copy, or: " + c.repairHint(),
		})
	}
}

// adoptable tells whether an unregistered file is a segment that the next start
// takes over, and says so.
func (c *check) adoptable(f segmentFile) bool {
	if c.hasSegment(f.lane, f.base) {
		return true // registered since
	}
	if !beginsWithFrame(&f) {
		return false
	}
	c.find(finding{
		severity: severityNotice, check: "orphan", file: relative(c.dir, f.path),
		what: "a segment that is not registered", next: "nothing: the next start adopts it",
	})
	return true
}

func (c *check) gatherQueues(ctx context.Context, s *refSorter) error {
	dir := filepath.Join(c.dir, store.ConsumeQueueDir)
	entries, err := consumequeue.ReadFormat(dir)
	if err != nil {
		var damaged *consumequeue.CorruptionError
		if !errors.As(err, &damaged) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if len(c.m.Queues) > 0 {
			c.find(finding{
				severity: severityLost, check: "queue", file: filepath.Join(store.ConsumeQueueDir, "FORMAT"), what: err.Error(),
				lost: "how the files of all queues are cut: the store does not open", next: c.repairHint(),
			})
			c.allSlotsBad = true
		}
		return nil
	}
	for i := range c.m.Queues {
		if err := c.queue(ctx, s, dir, entries, &c.m.Queues[i]); err != nil {
			return err
		}
	}
	return nil
}

// queue reads the slots of a queue that the checkpoint vouches for.
func (c *check) queue(ctx context.Context, s *refSorter, dir string, entries int64, q *store.ManifestQueue) error {
	c.totals.queues.Add(1)
	for base := q.Min - q.Min%entries; base < q.Next; base += entries {
		path := filepath.Join(dir, q.Topic, strconv.Itoa(int(q.Num)), consumequeue.FileName(base))
		bad := slotDamage{c: c, q: q, file: relative(c.dir, path), base: base}
		end := min(base+entries, q.Next)
		next := max(base, q.Min)
		err := consumequeue.ScanFile(path, base, next, func(slot int64, e consumequeue.Entry, err error) bool {
			if slot >= end {
				return false
			}
			next = slot + 1
			if err != nil {
				bad.add(slot, err)
				return true
			}
			c.totals.slots.Add(1)
			if e.Flags&consumequeue.FlagVoid != 0 {
				c.voidSlots[q.ID] = addSlot(c.voidSlots[q.ID], slot)
			}
			if e.Flags&consumequeue.FlagVoid == 0 {
				c.lanes[commitlog.Loc(e.Loc).Lane()] = true
				err = s.add(ref{loc: commitlog.Loc(e.Loc), slot: slot, ms: e.DeliverMs, queue: q.ID, size: e.Size, tag: e.Tag, kind: refQueue})
			}
			bad.failed = errors.Join(err, ctx.Err())
			return bad.failed == nil
		})
		c.count((next - max(base, q.Min)) * consumequeue.EntrySize)
		if err = errors.Join(err, bad.failed); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if next < end {
			reason := err
			if reason == nil {
				reason = consumequeue.ErrTruncated
			}
			bad.addRange(next, end, reason)
		}
		bad.report()
	}
	return nil
}

// slotRange is the slots [from, to) of a queue.
type slotRange struct{ from, to int64 }

// addSlot adds a slot behind all others.
func addSlot(ranges []slotRange, slot int64) []slotRange {
	if n := len(ranges); n > 0 && ranges[n-1].to == slot {
		ranges[n-1].to++
		return ranges
	}
	return append(ranges, slotRange{slot, slot + 1})
}

// badSlot tells whether a slot was found damaged in its file already.
func (c *check) badSlot(id uint32, slot int64) bool {
	ranges := c.badSlots[id] // ascending, as they were found
	i := sort.Search(len(ranges), func(i int) bool { return ranges[i].to > slot })
	return c.allSlotsBad || i < len(ranges) && ranges[i].from <= slot
}

// slotDamage brings neighbouring bad slots together in one finding.
type slotDamage struct {
	c        *check
	q        *store.ManifestQueue
	file     string
	base     int64
	from, to int64
	reason   error
	failed   error
}

func (d *slotDamage) add(slot int64, reason error) { d.addRange(slot, slot+1, reason) }

func (d *slotDamage) addRange(from, to int64, reason error) {
	if d.to != from || d.from == d.to {
		d.report()
		d.from, d.reason = from, reason
	}
	d.to = to
}

func (d *slotDamage) report() {
	from := d.from
	d.from = d.to
	if low, ok := d.c.queueMin(d.q.ID); !ok || d.to <= low || from == d.to {
		return // deleted or trimmed since
	}
	d.c.badSlots[d.q.ID] = append(d.c.badSlots[d.q.ID], slotRange{from, d.to})
	d.c.find(finding{
		severity: severityLost, check: "queue", file: d.file, offset: (from - d.base) * consumequeue.EntrySize,
		what: fmt.Sprintf("slots %d to %d of %s/%d: %v", from, d.to-1, d.q.Topic, d.q.Num, d.reason),
		lost: fmt.Sprintf("consumers cannot read %d messages, which are still in the log", d.to-from), next: d.c.repairHint(),
	})
}

func checkJSON(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var v any
	return json.Unmarshal(b, &v)
}
