package commitlog

import (
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/commitlog/segment"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// owner keeps a lane's metadata in memory, the way a store would keep it on disk,
// and a clock that tests move.
type owner struct {
	mu       sync.Mutex
	segs     []SegmentInfo
	calls    []string
	slots    int64
	ms       int64
	addErr   error
	sealErr  error
	lastEnd  int64
	lastFail error
}

func (o *owner) Assign(items []Item, _ int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, "assign")
	for i := range items {
		if !items[i].Scheduled() {
			items[i].When = o.slots
			o.slots++
		}
	}
}

func (o *owner) Committed(_ []Item, _ int64, end int64, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, "committed")
	o.lastEnd, o.lastFail = end, err
}

func (o *owner) SegmentAdded(_ uint8, base int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, "added")
	if o.addErr == nil {
		o.segs = append(o.segs, SegmentInfo{Base: base})
	}
	return o.addErr
}

func (o *owner) SegmentSealed(_ uint8, info SegmentInfo) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls = append(o.calls, "sealed")
	i := slices.IndexFunc(o.segs, func(s SegmentInfo) bool { return s.Base == info.Base })
	o.segs[i] = info
	return o.sealErr
}

func (o *owner) registered() []SegmentInfo {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.segs)
}

func (o *owner) now() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ms
}

func (o *owner) setNow(ms int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ms = ms
}

// lane is a directory with its owner, opened again and again.
type lane struct {
	t   testing.TB
	dir string
	own *owner
	o   Options
}

func newLane(t testing.TB, o Options) *lane {
	own := &owner{ms: 1000}
	o.Hooks, o.Now, o.Logger = own, own.now, slog.New(slog.DiscardHandler)
	if o.SegmentSize == 0 {
		o.SegmentSize = 4096
	}
	return &lane{t: t, dir: t.TempDir() + "/lane", own: own, o: o}
}

// seen is what a scan found.
type seen struct {
	payloads []string
	locs     []Loc
	items    []Item
	stats    RecoverStats
}

func (s *seen) visit(f Frame) error {
	for it, payload := range f.Items() {
		s.payloads = append(s.payloads, string(payload))
		s.locs = append(s.locs, it.Loc)
		s.items = append(s.items, it)
	}
	return nil
}

func (ln *lane) openAt(from int64) (*Log, *seen) {
	ln.t.Helper()
	s := new(seen)
	l, stats, err := Open(ln.dir, ln.own.registered(), from, s.visit, &ln.o)
	require.NoError(ln.t, err)
	s.stats = stats
	ln.t.Cleanup(func() { _ = l.Close() })
	return l, s
}

func (ln *lane) open() (*Log, *seen) {
	ln.t.Helper()
	return ln.openAt(0)
}

// put appends records of one frame each and returns their locations.
func put(t testing.TB, l *Log, payloads ...string) []Loc {
	t.Helper()
	var locs []Loc
	for _, p := range payloads {
		loc, err := putOne(l, Record{Payload: []byte(p)})
		require.NoError(t, err)
		locs = append(locs, loc)
	}
	return locs
}

// catcher keeps what a Completer is told.
type catcher struct {
	loc     Loc
	item    Item
	storeMs int64
	err     error
	done    chan struct{}
}

func (c *catcher) Complete(_ uint64, it *Item, storeMs int64, err error) {
	c.loc, c.item, c.storeMs, c.err = it.Loc, *it, storeMs, err
	close(c.done)
}

func putOne(l *Log, r Record) (Loc, error) {
	c := &catcher{done: make(chan struct{})}
	if err := l.Append(&r, c, 0); err != nil {
		return 0, err
	}
	<-c.done
	return c.loc, c.err
}

func content(t testing.TB, l *Log, loc Loc, size int) string {
	t.Helper()
	v, err := l.View(loc, int32(size))
	require.NoError(t, err)
	defer v.Release()
	return string(v.Bytes())
}

// faultyDisk fails on demand.
type faultyDisk struct {
	segment.Disk
	mu          sync.Mutex
	write       error
	sync        error
	preallocate error
	partial     int // bytes that a failing write still writes
}

var errBroken = errors.New("broken disk")

func (d *faultyDisk) set(f func(*faultyDisk)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *faultyDisk) fault(which func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return which()
}

func (d *faultyDisk) WriteAt(f *os.File, p []byte, off int64) error {
	if err := d.fault(func() error { return d.write }); err != nil {
		return errors.Join(d.Disk.WriteAt(f, p[:min(d.partial, len(p))], off), err)
	}
	return d.Disk.WriteAt(f, p, off)
}

func (d *faultyDisk) Datasync(f *os.File) error {
	if err := d.fault(func() error { return d.sync }); err != nil {
		return err
	}
	return d.Disk.Datasync(f)
}

func (d *faultyDisk) Preallocate(f *os.File, off, size int64) error {
	if err := d.fault(func() error { return d.preallocate }); err != nil {
		return err
	}
	return d.Disk.Preallocate(f, off, size)
}
