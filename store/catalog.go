package store

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
)

// manifestLimit is the size at which the MANIFEST is rewritten as a snapshot.
const manifestLimit = 4 << 20

// replayPoint is where recovery starts to put consume queue slots again.
type replayPoint struct {
	journal int64 // offset in the fire journal
	lane0   int64 // offset in lane 0
}

type queueKey struct {
	topic string
	num   int32
}

type queueState struct {
	key       queueKey
	min, next int64 // slots that the queue's files held at the checkpoint
}

// catalogState is what the edits of the MANIFEST add up to.
type catalogState struct {
	segments  map[uint8]map[int64]commitlog.SegmentInfo // lane, base
	given     map[uint8]map[int64][]commitlog.Range     // of these, by the same: what was given back of them
	deaths    map[uint8]*deaths                         // by lane
	runs      map[uint8][]delayindex.RunInfo            // by lane, in Start order
	indexed   map[uint8]int64
	keys      map[uint8]*keysState // of the lanes with a key index
	queues    map[uint32]queueState
	nextQueue uint32
	mark      mark
	replay    replayPoint
	cold      map[int64]cold.Info  // by base
	cuts      map[int64]segmentCut // of segments in the far lane, by base
	single    bool                 // nobody wants more than to know how long an operation is
}

// segmentCut says from which fire time on the messages of a segment have moved.
type segmentCut struct{ end, ms int64 }

func newCatalogState() *catalogState {
	return &catalogState{
		segments:  map[uint8]map[int64]commitlog.SegmentInfo{},
		given:     map[uint8]map[int64][]commitlog.Range{},
		deaths:    map[uint8]*deaths{},
		runs:      map[uint8][]delayindex.RunInfo{},
		indexed:   map[uint8]int64{},
		keys:      map[uint8]*keysState{},
		queues:    map[uint32]queueState{},
		nextQueue: 1,
		cold:      map[int64]cold.Info{},
		cuts:      map[int64]segmentCut{},
	}
}

func (st *catalogState) putSegment(lane uint8, s commitlog.SegmentInfo) {
	if st.segments[lane] == nil {
		st.segments[lane] = map[int64]commitlog.SegmentInfo{}
	}
	st.segments[lane][s.Base] = s
}

func (st *catalogState) putGiven(lane uint8, base int64, r commitlog.Range) {
	if st.given[lane] == nil {
		st.given[lane] = map[int64][]commitlog.Range{}
	}
	st.given[lane][base] = commitlog.MergeRange(st.given[lane][base], r)
}

func (st *catalogState) deathsOf(lane uint8) *deaths {
	if st.deaths[lane] == nil {
		st.deaths[lane] = newDeaths()
	}
	return st.deaths[lane]
}

// laneGiven lists what was given back of a lane's segments.
func (st *catalogState) laneGiven(lane uint8) []commitlog.Range {
	var out []commitlog.Range
	for _, ranges := range st.given[lane] {
		out = append(out, ranges...)
	}
	return out
}

func (st *catalogState) givenBytes(lane uint8) int64 {
	total := int64(0)
	for _, ranges := range st.given[lane] {
		total += rangeBytes(ranges)
	}
	return total
}

func (st *catalogState) laneSegments(lane uint8) []commitlog.SegmentInfo {
	return slices.SortedFunc(maps.Values(st.segments[lane]), func(a, b commitlog.SegmentInfo) int {
		return cmp.Compare(a.Base, b.Base)
	})
}

func (st *catalogState) dropSegment(lane uint8, base int64) {
	delete(st.segments[lane], base)
	delete(st.given[lane], base)
	if d := st.deaths[lane]; d != nil {
		d.removed(base)
	}
	if lane == farLane {
		st.dropCut(base)
	}
}

// dropCut forgets a cut when its segment is dead, and with it the segment's runs,
// lest what it hides in them be seen again. All else in them is done.
func (st *catalogState) dropCut(base int64) {
	c, ok := st.cuts[base]
	if !ok {
		return
	}
	delete(st.cuts, base)
	st.runs[farLane] = slices.DeleteFunc(st.runs[farLane], func(r delayindex.RunInfo) bool {
		return r.Start >= base && r.End <= c.end
	})
}

func (st *catalogState) coldFiles() []cold.Info {
	return slices.SortedFunc(maps.Values(st.cold), func(a, b cold.Info) int { return cmp.Compare(a.Base, b.Base) })
}

// putCut also hides the entries of the segment's runs that have moved.
func (st *catalogState) putCut(base int64, c segmentCut) {
	st.cuts[base] = c
	for i := range st.runs[farLane] {
		st.cutRun(&st.runs[farLane][i])
	}
}

func (st *catalogState) cutRun(r *delayindex.RunInfo) {
	for base, c := range st.cuts {
		if r.Start >= base && r.End <= c.end {
			r.CutMs = c.ms
		}
	}
}

// putRun registers a run, in place of one of the same range: one that could not be
// opened after it was registered, for want of descriptors, is written and registered again.
func (st *catalogState) putRun(lane uint8, r delayindex.RunInfo) {
	if lane == farLane {
		st.cutRun(&r)
	}
	st.dropRun(lane, r.Start, r.End)
	runs := append(st.runs[lane], r)
	slices.SortFunc(runs, func(a, b delayindex.RunInfo) int { return cmp.Compare(a.Start, b.Start) })
	st.runs[lane] = runs
}

func (st *catalogState) dropRun(lane uint8, start, end int64) {
	st.runs[lane] = slices.DeleteFunc(st.runs[lane], func(r delayindex.RunInfo) bool {
		return r.Start == start && r.End == end
	})
}

// snapshot returns edits that rebuild st from nothing, each of bounded size.
func (st *catalogState) snapshot() [][]byte {
	const editBytes = 1 << 20
	var out [][]byte
	var e edit
	next := func() {
		if len(e) >= editBytes {
			out, e = append(out, e), nil
		}
	}
	for id, q := range st.queues {
		e.queue(id, q.key)
		e.queueExtent(id, q.min, q.next)
		next()
	}
	for lane, segs := range st.segments {
		for _, s := range segs {
			e.segment(lane, s)
			next()
		}
	}
	for lane, segs := range st.given {
		for base, ranges := range segs {
			for _, r := range ranges {
				e.givenBack(lane, base, r)
				next()
			}
		}
	}
	for lane, d := range st.deaths {
		for _, base := range d.bases() {
			d.snapshot(&e, lane, base)
			next()
		}
	}
	for lane, runs := range st.runs {
		for _, r := range runs {
			e.run(lane, r)
			next()
		}
	}
	for _, c := range st.cold {
		e.cold(c)
		next()
	}
	for base, c := range st.cuts {
		e.cut(base, c)
		next()
	}
	for lane, upTo := range st.indexed {
		e.indexed(lane, upTo)
	}
	for lane, k := range st.keys {
		k.snapshot(&e, lane, next)
	}
	e.nextQueue(st.nextQueue)
	e.mark(st.mark)
	e.replay(st.replay)
	return append(out, e)
}

// catalog is the MANIFEST and what it says. All methods are safe for
// concurrent use; commit returns after the edit is durable.
type catalog struct {
	mu    sync.Mutex
	m     *manifest
	state *catalogState
	limit int64 // size at which the MANIFEST is rewritten, if it is twice what it was then
	whole int64 // size after the last time
	// broken is told, once or more, when an append failed in a way that leaves open
	// what a restart will find: nothing can be committed before that any more.
	broken func(error)
	log    *slog.Logger
}

// openCatalog opens the MANIFEST of the store in dir. One that is missing where
// there is data is not a new store: the queue ids of that data stand only in it.
func openCatalog(dir string, log *slog.Logger) (*catalog, error) {
	path := filepath.Join(dir, manifestName)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if found, _ := filepath.Glob(filepath.Join(dir, logDir, "*", "*")); len(found) > 0 {
			return nil, fmt.Errorf("%s is missing, but %s holds messages: put the MANIFEST back from a copy of this directory", path, found[0])
		}
	}
	m, records, err := openManifest(path)
	if err != nil {
		return nil, err
	}
	if m.dropped > 0 {
		log.Warn("an unfinished append to the manifest is cut off; nothing that depended on it was acknowledged", "path", path, "bytes", m.dropped)
	}
	st := newCatalogState()
	for i, rec := range records {
		if err := edit(rec).apply(st); err != nil {
			m.close()
			return nil, fmt.Errorf("open %s: record %d: %w", path, i, err)
		}
	}
	return &catalog{m: m, state: st, limit: manifestLimit, broken: func(error) {}, log: log}, nil
}

// commit makes e durable and applies it, all or nothing.
func (c *catalog) commit(e edit) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.m.append(e); err != nil {
		return c.failed(fmt.Errorf("write manifest: %w", err))
	}
	if err := e.apply(c.state); err != nil {
		panic("BUG: own manifest edit: " + err.Error())
	}
	if c.m.size() < max(c.limit, 2*c.whole) {
		return nil
	}
	return c.rewrite()
}

// rewrite makes the MANIFEST short again. The last edit is in the old content and in the
// new: that this fails is no error of the edit, unless nobody knows which of the two is
// there. It is tried again when the MANIFEST is twice as long.
func (c *catalog) rewrite() error {
	err := c.m.rewrite(c.state.snapshot())
	c.whole = c.m.size()
	switch {
	case err == nil:
		return nil
	case c.m.failed != nil:
		return c.failed(fmt.Errorf("rewrite manifest: %w", err))
	}
	c.log.Error("MANIFEST is not rewritten; it grows, nothing else suffers", "error", err, "bytes", c.whole)
	return nil
}

// failed passes err on, and tells of it if it is the end.
func (c *catalog) failed(err error) error {
	if c.m.failed != nil {
		c.broken(err)
	}
	return err
}

// view runs f on the state; f must not keep references to its maps.
func (c *catalog) view(f func(*catalogState)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.state)
}

func (c *catalog) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.close()
}
