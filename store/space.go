package store

import (
	"context"
	"fmt"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
)

// SpaceBytes tells what the bytes of commit-log files are there for. A message counts
// with its record header. Their sum is what the files take on disk.
type SpaceBytes struct {
	Pending    int64 `json:"pending"`    // messages that have not fired
	Live       int64 `json:"live"`       // fired or ordinary ones within their retention
	Dead       int64 `json:"dead"`       // past it or cancelled, kept by what lives in the same 64 KiB, and frame headers
	Recyclable int64 `json:"recyclable"` // past it, given back by the next passes of retention
	Reserved   int64 `json:"reserved"`   // allocated ahead, no message yet
}

func (b *SpaceBytes) add(o SpaceBytes) {
	b.Pending += o.Pending
	b.Live += o.Live
	b.Dead += o.Dead
	b.Recyclable += o.Recyclable
	b.Reserved += o.Reserved
}

// Total is the sum of all states.
func (b *SpaceBytes) Total() int64 { return b.Pending + b.Live + b.Dead + b.Recyclable + b.Reserved }

// SegmentSpace is one commit-log file.
type SegmentSpace struct {
	Base    int64 `json:"base"` // lane offset of its first byte, which is its name
	Sealed  bool  `json:"sealed"`
	Records int64 `json:"records"` // ever written to it
	SpaceBytes
	// NextFreeMs is when bytes of it die next, GoneMs when the last do, in ms since
	// 1970, as things are: messages that come, fire late or exceed RetentionBytes
	// change it. 0: it holds no message.
	NextFreeMs int64 `json:"next_free_ms"`
	GoneMs     int64 `json:"gone_ms"`
}

// LaneSpace is the files of one delay class.
type LaneSpace struct {
	Lane     uint8          `json:"lane"`
	Name     string         `json:"name"`
	Prepared int64          `json:"prepared"` // allocated for the file that comes next
	Segments []SegmentSpace `json:"segments"`
}

// Sum adds the segments up, and what is prepared to what is reserved.
func (l *LaneSpace) Sum() SpaceBytes {
	sum := SpaceBytes{Reserved: l.Prepared}
	for i := range l.Segments {
		sum.add(l.Segments[i].SpaceBytes)
	}
	return sum
}

// Space is what a store takes on disk, in bytes.
type Space struct {
	Lanes []LaneSpace `json:"lanes"`
	Spare int64       `json:"spare"` // expired files that wait for their next use
	// Index, Journal and Queues are the entries of the other files.
	Index   int64 `json:"index"`
	Journal int64 `json:"journal"`
	Queues  int64 `json:"queues"`
	// Cold is compacted messages of the far future, pending or within their retention.
	Cold int64 `json:"cold"`
}

// Space counts the bytes of every segment by state. It reads 32 bytes for each
// message that is pending and for each one within its retention: some seconds for a
// hundred million. The figures are each true at some moment of the call.
func (s *Store) Space(ctx context.Context) (*Space, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	sp := s.outline()
	count := sp.counter()
	if err := s.countWaiting(ctx, count); err != nil {
		return nil, fmt.Errorf("count pending bytes: %w", err)
	}
	if err := s.countKept(ctx, count); err != nil {
		return nil, fmt.Errorf("count bytes within their retention: %w", err)
	}
	for i := range sp.Lanes {
		for j := range sp.Lanes[i].Segments {
			sp.Lanes[i].Segments[j].settle()
		}
	}
	return sp, nil
}

// settle takes what was counted off the bytes that outline took to be dead. A message
// that fired or died during the count may stand in two places.
func (g *SegmentSpace) settle() {
	g.Pending = min(g.Pending, g.Dead)
	g.Live = min(g.Live, g.Dead-g.Pending)
	g.Dead -= g.Pending + g.Live
}

// outline lists the segments with what their figures say; all that is neither
// recyclable nor reserved counts as dead so far.
func (s *Store) outline() *Space {
	st := s.Stats()
	sp := &Space{Spare: s.pool.Bytes(), Index: st.StoredBytes[BytesIndex], Journal: st.StoredBytes[BytesJournal], Queues: st.StoredBytes[BytesQueue], Cold: st.StoredBytes[BytesCold]}
	now := s.clock.NowMs()
	for _, l := range s.lanes {
		lane := LaneSpace{Lane: l.id, Name: laneClasses[l.id].name, Prepared: l.log.Prepared()}
		for _, info := range l.log.Segments() {
			lane.Segments = append(lane.Segments, s.outlineSegment(l, &info, now))
		}
		sp.Lanes = append(sp.Lanes, lane)
	}
	return sp
}

func (s *Store) outlineSegment(l *lane, info *commitlog.SegmentInfo, now int64) SegmentSpace {
	g := SegmentSpace{Base: info.Base, Sealed: info.Sealed, Records: info.Records}
	var given int64
	s.catalog.view(func(c *catalogState) { given = rangeBytes(c.given[l.id][info.Base]) })
	g.Dead = info.End - info.Base - given
	if !info.Sealed {
		g.Reserved = l.segmentSize - (info.End - info.Base)
	}
	if info.Records == 0 {
		return g
	}
	g.GoneMs = s.deathMs(unit{ceilSec(info.MaxFireMs), ceilSec(info.MaxStoreMs)})
	g.NextFreeMs = min(g.GoneMs, s.nextDeath(l, info.Base))
	if s.segmentDead(l, info, now) {
		g.Recyclable, g.Dead = g.Dead, 0
		return g
	}
	g.Recyclable = rangeBytes(l.deaths.dead(info.Base, info.End, func(u unit, end int64) bool { return s.unitDead(u, end, l, now) }))
	g.Dead -= g.Recyclable
	return g
}

// deathMs is when all messages of u are dead by time.
func (s *Store) deathMs(u unit) int64 {
	ms := int64(0)
	if u.fireSec != 0 {
		ms = s.fireDeathMs(u)
	}
	if u.storeSec != 0 {
		ms = max(ms, int64(u.storeSec)*1000+s.opts.Retention.Milliseconds())
	}
	return ms
}

func rangeBytes(ranges []commitlog.Range) int64 {
	total := int64(0)
	for _, r := range ranges {
		total += r.To - r.From
	}
	return total
}

// spaceCounter finds the segment of a location.
type spaceCounter struct{ lanes map[uint8]*LaneSpace }

func (sp *Space) counter() *spaceCounter {
	c := &spaceCounter{lanes: map[uint8]*LaneSpace{}}
	for i := range sp.Lanes {
		c.lanes[sp.Lanes[i].Lane] = &sp.Lanes[i]
	}
	return c
}

// at returns nil for a location in none of the segments.
func (c *spaceCounter) at(loc commitlog.Loc) *SegmentSpace {
	l := c.lanes[loc.Lane()]
	if l == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(l.Segments, loc.Offset(), func(g SegmentSpace, off int64) int { return int(min(max(g.Base-off, -1), 1)) })
	if !ok {
		i--
	}
	if i < 0 {
		return nil
	}
	return &l.Segments[i]
}

// countWaiting counts what the index has and the mark does not cover, but for what was
// cancelled.
func (s *Store) countWaiting(ctx context.Context, c *spaceCounter) error {
	m := s.mark()
	it := mergeSnapshots(s.snapshots(), 0, noDeadline)
	defer it.Close()
	block := make([]delayindex.Entry, loadBlock)
	for ctx.Err() == nil {
		n, err := it.Next(block)
		if err != nil || n == 0 {
			return err
		}
		for i := range block[:n] {
			e := &block[i]
			loc := commitlog.Loc(e.Loc)
			if g := c.at(loc); g != nil && !m.done(e) && !s.cancels.has(loc) {
				g.Pending += commitlog.RecordHeaderSize + int64(e.Size)
			}
		}
	}
	return ctx.Err()
}

// countKept counts what the queues still show.
func (s *Store) countKept(ctx context.Context, c *spaceCounter) error {
	now := s.clock.NowMs()
	buf := make([]consumequeue.Entry, 1024)
	for _, q := range s.registry.all() {
		for slot := q.cq.Min(); ctx.Err() == nil; {
			n, err := q.cq.Read(slot, buf)
			if err != nil || n == 0 {
				break // trimmed or deleted meanwhile, or damaged, which its readers tell of
			}
			for i := range buf[:n] {
				e := &buf[i]
				if g := c.at(commitlog.Loc(e.Loc)); g != nil && e.Flags&consumequeue.FlagVoid == 0 && !s.entryDead(e, now) {
					g.Live += commitlog.RecordHeaderSize + int64(e.Size)
				}
			}
			slot += int64(n)
		}
	}
	return ctx.Err()
}

// spaceByLane is Space for those who ask often: it reads no file. Pending bytes are a
// count times the mean size of a lane's messages, and what is dead beside living
// messages counts as live.
func (s *Store) spaceByLane() [laneCount]SpaceBytes {
	sp := s.outline()
	firedMs := s.mark().firedMs
	var out [laneCount]SpaceBytes
	for i, l := range s.lanes {
		sum := sp.Lanes[i].Sum()
		snap := l.index.Snapshot()
		waiting := snap.Count(firedMs+1, noDeadline)
		snap.Release()
		var bytes, records int64
		for _, info := range l.log.Segments() {
			bytes, records = bytes+info.End-info.Base, records+info.Records
		}
		if records > 0 {
			sum.Pending = min(int64(float64(bytes)/float64(records)*float64(waiting)), sum.Dead)
		}
		sum.Live, sum.Dead = sum.Dead-sum.Pending, 0
		out[i] = sum
	}
	return out
}
