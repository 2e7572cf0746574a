package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/store"
)

// A check compares all files of a store with each other. It reads every file
// once, front to back:
//
//  1. The MANIFEST, once: it says what belongs to the store at this moment.
//  2. The journal and the files of the queues. What they say about records goes
//     into a sorter by location: in memory up to a million, beyond that in
//     temporary files. (check_refs.go)
//  3. The lanes, cut at the runs into parts, and these into tiles, several at a time.
//     The records of a tile are met with what was sorted in step 2, and compared with
//     the entries of its run: by a sum over both (check_sum.go) while the run is read
//     beside the log; where the sums differ the tile is read again, and its records are
//     met with the entries one by one. (check_lane.go, check_part.go, check_tile.go)
//  4. The runs of the key index. (check_keys.go)
//
// So memory is bounded by the sorter, a few MiB for each tile that is being read, and
// the entries that are met one by one: those of messages that are over, and of tiles
// that are read again. A run with more than runSlice entries is several parts.
//
// A store in use goes on meanwhile. What a file is missed for is looked up in
// the MANIFEST of that moment before it counts: whatever was recycled, dropped or
// trimmed since step 1, or has fired, is no finding.
type check struct {
	e   *env
	dir string
	m   *store.Manifest
	// retention for the segments that should be gone.
	retention, scheduledRetention time.Duration

	// salvage takes what can be read of a journal that the next start would not take over.
	salvage bool

	names queueNames
	refs  *refTable
	// cancelled messages stay in log and index, and do not fire.
	cancelled map[commitlog.Loc]bool
	badSlots  map[uint32][]slotRange // by queue id; what step 2 found
	voidSlots map[uint32][]slotRange // the same: slots that are empty
	// journalLost says that batches behind the replay point cannot be read.
	journalLost bool
	// journalTorn says that the journal ends with a batch that is not whole.
	journalTorn bool
	// allSlotsBad says that no file of a queue could be read.
	allSlotsBad bool
	lanes       map[uint8]bool // to look at: those on disk, in the MANIFEST, and referred to
	keys        map[uint8][]*keyPiece

	reached int64         // no fire time behind it is covered by the mark
	scans   chan struct{} // has one for each tile that is being read
	held    chan struct{} // has one for each part of which entries are in memory
	minTile int           // of a tile, in bits of a lane offset; 0: tileShift
	again   atomic.Int64  // tiles of runs that a quick check was not enough for
	orders  sync.Pool     // of *logOrder: memory for the entries of a tile
	buffers sync.Pool     // of *commitlog.ScanBuffer

	read     atomic.Int64 // bytes so far
	progress *progress

	mu       sync.Mutex
	findings []finding       // guarded by mu
	noQueue  *commitlog.Item // guarded by mu while lanes are checked: the first record of a queue that nobody knows
	newest   *store.Manifest
	stamp    os.FileInfo // of the file that newest was read from
	totals   checkTotals
}

// checkTotals is what was seen.
type checkTotals struct {
	segments, cold, runs, keyRuns  atomic.Int64
	queues                         atomic.Int64
	records, pending, slots, fired atomic.Int64
}

// severity of a finding.
type severity string

const (
	// lost: something that was acknowledged cannot be read or will not be delivered.
	severityLost severity = "lost"
	// damaged: bytes are bad, but the next start or a repair makes them good again.
	severityDamaged severity = "damaged"
	// notice: worth knowing, nothing is wrong.
	severityNotice severity = "notice"
)

// maxFindings bounds what is kept; damage has no end, a report must.
const maxFindings = 10_000

// finding is one thing that does not agree.
type finding struct {
	severity severity
	check    string // which check: "frame", "run", "journal", ...
	file     string
	offset   int64 // in the file
	what     string
	lost     string // what it costs
	next     string // the next step
}

func (c *check) find(f finding) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.findings) < maxFindings {
		c.findings = append(c.findings, f)
	}
}

// bad reports whether there is more than notices.
func (c *check) bad() bool {
	for _, f := range c.findings {
		if f.severity != severityNotice {
			return true
		}
	}
	return false
}

// latest is the MANIFEST of this moment.
func (c *check) latest() *store.Manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, err := os.Stat(c.m.Path)
	if err != nil {
		return c.newest
	}
	if c.stamp != nil && os.SameFile(st, c.stamp) && st.Size() == c.stamp.Size() && st.ModTime().Equal(c.stamp.ModTime()) {
		return c.newest
	}
	if m, err := store.ReadManifest(c.dir); err == nil {
		c.newest, c.stamp = m, st
	}
	return c.newest
}

// hasSegment tells whether the store still has a segment.
func (c *check) hasSegment(lane uint8, base int64) bool {
	_, found := segmentInfo(c.latest(), lane, base)
	return found
}

// queueMin is the first slot that a queue still has.
func (c *check) queueMin(id uint32) (int64, bool) {
	for _, q := range c.latest().Queues {
		if q.ID == id {
			return q.Min, true
		}
	}
	return 0, false
}

// run checks everything; findings are in c. An error means that it could not go on.
func (c *check) run(ctx context.Context) error {
	m, err := readManifest(c.dir)
	if err != nil {
		return c.withoutManifest(err)
	}
	c.m, c.newest, c.names = m, m, namesOf(m)
	lanes, err := listLanes(c.dir, m)
	if err != nil {
		return err
	}
	c.badSlots, c.voidSlots, c.lanes = map[uint32][]slotRange{}, map[uint32][]slotRange{}, map[uint8]bool{}
	for _, lane := range lanes {
		c.lanes[lane] = true
	}
	c.keys, c.reached = c.keyPieces(), m.Reached()
	c.scans, c.held = make(chan struct{}, readers()+1), make(chan struct{}, readers())
	c.progress.start(c.totalBytes(lanes))
	if err := c.gather(ctx); err != nil {
		return err
	}
	defer c.refs.close()
	if err := c.checkLanes(ctx); err != nil {
		return err
	}
	if err := c.checkKeys(ctx); err != nil {
		return err
	}
	c.others()
	return ctx.Err()
}

// checkLanes checks the parts of all lanes, some at a time.
func (c *check) checkLanes(ctx context.Context) error {
	var lanes []*laneCheck
	var parts []*part
	for _, lane := range slices.Sorted(maps.Keys(c.lanes)) {
		l, err := c.lane(lane)
		if err != nil {
			return err
		}
		lanes, parts = append(lanes, l), append(parts, l.parts()...)
	}
	cutParts(parts)
	var g errgroup.Group
	g.SetLimit(2 * readers())
	for _, p := range parts {
		g.Go(func() error { return p.check(ctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, l := range lanes {
		l.figures()
	}
	c.unknownQueues()
	return nil
}

// readers is how many files are read at once: enough to keep a disk busy while
// checksums are computed.
func readers() int { return min(max(runtime.GOMAXPROCS(0), 2), 8) }

// withoutManifest turns a MANIFEST that cannot be read into a finding, if the
// rest is there.
func (c *check) withoutManifest(err error) error {
	var damaged *commitlog.CorruptionError
	missing := errors.Is(err, fs.ErrNotExist)
	if _, serr := os.Stat(filepath.Join(c.dir, store.LogDir)); serr != nil || !missing && !errors.As(err, &damaged) {
		return err
	}
	f := finding{
		severity: severityLost, check: "manifest", file: store.ManifestName, what: err.Error(),
		lost: "the numbers of the queues: without them the store does not open",
		next: fmt.Sprintf("duelogctl repair %s --out COPY", c.dir),
	}
	if damaged != nil {
		f.offset = damaged.Offset
	}
	c.find(f)
	return nil
}

// totalBytes is about how much there is to read.
func (c *check) totalBytes(lanes []uint8) int64 {
	total := int64(0)
	for _, lane := range append([]uint8{journalLane}, lanes...) {
		for _, s := range segmentsOf(c.m, lane) {
			total += s.End - s.Base
		}
		for _, r := range c.m.Runs[lane] {
			total += r.Count * 32
		}
		for _, r := range c.m.KeyRuns[lane] {
			total += r.Bytes()
		}
	}
	for _, q := range c.m.Queues {
		total += (q.Next - q.Min) * consumequeue.EntrySize
	}
	return total
}

func (c *check) count(bytes int64) {
	c.progress.set(c.read.Add(bytes))
}

// repairHint is the next step for what only repair can make good.
func (c *check) repairHint() string {
	return fmt.Sprintf("duelogctl repair %s --out COPY", c.dir)
}

// others looks at what is not in lanes, journal and queues.
func (c *check) others() {
	if c.m.Torn > 0 {
		c.find(finding{
			severity: severityNotice, check: "manifest", file: store.ManifestName, offset: c.m.Size,
			what: fmt.Sprintf("its last %d bytes are an append that is not complete", c.m.Torn), lost: "nothing that depended on it was done",
			next: "nothing: normal after a crash and in a store in use",
		})
	}
	c.configFiles()
	c.strays()
	c.strayKeys()
	c.leftBehind()
}

func (c *check) configFiles() {
	names, err := os.ReadDir(filepath.Join(c.dir, configDir))
	if err != nil {
		return // an embedded store has none
	}
	for _, d := range names {
		if filepath.Ext(d.Name()) != ".json" {
			continue
		}
		name := filepath.Join(configDir, d.Name())
		if err := checkJSON(filepath.Join(c.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			f := finding{
				severity: severityDamaged, check: "config", file: name, what: err.Error(),
				lost: "the last change to it", next: "nothing: the next start takes its .bak, the content before that",
			}
			if checkJSON(filepath.Join(c.dir, name+".bak")) != nil {
				f.lost, f.next = "what it said: it has no good .bak", "put it back from a copy, or delete it to begin anew"
			}
			c.find(f)
		}
	}
}

// strays tells of directories of queues and files of runs that nobody knows.
func (c *check) strays() {
	known := map[string]bool{}
	for _, q := range c.latest().Queues {
		known[filepath.Join(q.Topic, strconv.Itoa(int(q.Num)))] = true
	}
	topics, _ := os.ReadDir(filepath.Join(c.dir, store.ConsumeQueueDir))
	for _, topic := range topics {
		nums, _ := os.ReadDir(filepath.Join(c.dir, store.ConsumeQueueDir, topic.Name()))
		for _, num := range nums {
			if name := filepath.Join(topic.Name(), num.Name()); !known[name] {
				c.stray(filepath.Join(store.ConsumeQueueDir, name), "a queue that is not registered: its topic was deleted, or is just being made")
			}
		}
	}
	for lane := range 256 {
		dir := filepath.Join(store.IndexDir, strconv.Itoa(lane))
		files, _ := os.ReadDir(filepath.Join(c.dir, dir))
		for _, f := range files {
			registered := false
			for _, r := range c.latest().Runs[uint8(lane)] {
				registered = registered || filepath.Base(runPath(uint8(lane), r)) == f.Name()
			}
			if !registered {
				c.stray(filepath.Join(dir, f.Name()), "a run that is not registered: being written, or left by a crash")
			}
		}
	}
}

func (c *check) stray(file, what string) {
	if _, err := os.Stat(filepath.Join(c.dir, file)); err != nil {
		return // gone since
	}
	c.find(finding{severity: severityNotice, check: "orphan", file: file, what: what, next: "nothing: the next start deletes or adopts it"})
}
