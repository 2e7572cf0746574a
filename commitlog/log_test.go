package commitlog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog/segment"
)

func everyMode(t *testing.T, run func(t *testing.T, o Options)) {
	for _, w := range []segment.Writer{segment.Pwrite, segment.Mmap} {
		for _, p := range []FlushPolicy{Sync, Async} {
			t.Run(fmt.Sprintf("%v-%v", w, p), func(t *testing.T) { run(t, Options{Writer: w, Flush: p}) })
		}
	}
}

func TestRecordsComeBackAfterReopen(t *testing.T) {
	everyMode(t, func(t *testing.T, o Options) {
		ln := newLane(t, o)
		l, _ := ln.open()
		locs := put(t, l, "one", "", strings.Repeat("x", 3000), "four", strings.Repeat("y", 3000))
		require.Equal(t, "four", content(t, l, locs[3], 4))
		require.NoError(t, l.Close())

		l, s := ln.open()
		require.Equal(t, locs, s.locs)
		require.Equal(t, "one", s.payloads[0])
		require.Equal(t, strings.Repeat("y", 3000), s.payloads[4])
		require.Empty(t, s.stats.Damaged)
		require.Zero(t, s.stats.TornBytes)
		require.EqualValues(t, 5, s.stats.Frames)
		require.Equal(t, "four", content(t, l, locs[3], 4))
	})
}

func TestFieldsOfARecordSurvive(t *testing.T) {
	ln := newLane(t, Options{Lane: 3})
	l, _ := ln.open()
	fire := int64(1)<<47 + 5
	_, err := putOne(l, Record{When: fire, Flags: FlagScheduled | FlagTombstone, Queue: 7, Tag: 8, Key: 9, Payload: []byte("p")})
	require.NoError(t, err)
	put(t, l, "plain")
	require.NoError(t, l.Close())

	_, s := ln.open()
	loc := MakeLoc(3, FrameHeaderSize+RecordHeaderSize)
	require.Equal(t, Item{Loc: loc, When: fire, Flags: 3, Size: 1, Queue: 7, Tag: 8, Key: 9}, s.items[0])
	require.EqualValues(t, 3, s.items[1].Loc.Lane())
	require.EqualValues(t, 0, s.items[1].When, "the slot that the owner assigned")
}

func TestUnusedLaneTouchesNothingOnDisk(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	require.Zero(t, l.Tail())
	require.Empty(t, l.Segments())
	require.NoError(t, l.Close())
	_, err := os.Stat(ln.dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestReservePreparesTheFirstSegmentAndUsesItAfterReopen(t *testing.T) {
	ln := newLane(t, Options{Reserve: true})
	l, _ := ln.open()
	require.FileExists(t, l.chain.Path(0))
	require.NoError(t, l.Close())

	l, s := ln.open()
	require.Empty(t, s.stats.Adopted)
	put(t, l, "a")
	l.next.fill(4096)
	require.FileExists(t, l.chain.Path(4096))
	require.NoError(t, l.Close())
	_, s = ln.open()
	require.Equal(t, []string{"a"}, s.payloads)
	require.FileExists(t, l.chain.Path(4096))
}

func TestHooksRunInOrderAroundEachBatch(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	put(t, l, "a", "b")
	require.Equal(t, []string{"added", "assign", "committed", "assign", "committed"}, ln.own.calls)
	require.Equal(t, l.Tail(), ln.own.lastEnd)
	ln.own.calls = nil
	put(t, l, strings.Repeat("z", 4000))
	require.Equal(t, []string{"sealed", "added", "assign", "committed"}, ln.own.calls)
}

func TestBadRecordsAreRefused(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	limit := 4096 - FrameHeaderSize - RecordHeaderSize
	require.ErrorIs(t, l.Append(&Record{Payload: make([]byte, limit+1)}, nil, 0), ErrTooLarge)
	require.ErrorIs(t, l.Append(&Record{When: -1}, nil, 0), ErrWhen)
	require.ErrorIs(t, l.Append(&Record{When: 1 << 48}, nil, 0), ErrWhen)
	put(t, l, strings.Repeat("a", limit), strings.Repeat("b", limit))
	require.EqualValues(t, 2*4096, l.Tail())
	_, err := l.AppendFrame(make([]byte, 4096), 1, 0)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestRecordLargerThanABatchGetsItsOwn(t *testing.T) {
	ln := newLane(t, Options{SegmentSize: 1 << 20, MaxBatchBytes: 1000, MaxPendingBytes: 2000})
	l, _ := ln.open()
	big := strings.Repeat("b", 100_000)
	locs := put(t, l, "a", big, "c")
	require.Equal(t, big, content(t, l, locs[1], len(big)))
}

func TestViewsAreBoundsChecked(t *testing.T) {
	ln := newLane(t, Options{Lane: 1})
	l, _ := ln.open()
	loc := put(t, l, "abc")[0]
	for _, bad := range []struct {
		loc  Loc
		size int32
	}{
		{loc, 4}, {loc, -1}, {loc + 4, 1}, {loc &^ (0xff << 56), 3}, {MakeLoc(1, offsetMask), 1}, {MakeLoc(1, 0), 5000},
	} {
		_, err := l.View(bad.loc, bad.size)
		require.ErrorIs(t, err, ErrRange, "%v %d", bad.loc, bad.size)
	}
	require.Equal(t, "", content(t, l, loc+3, 0))
}

func TestColdReadsEqualWarmOnes(t *testing.T) {
	ln := newLane(t, Options{SegmentSize: 16 << 20})
	l, _ := ln.open()
	for _, n := range []int{0, 1, 1023, 1024, 1025, 70_000, 5 << 20} {
		want := strings.Repeat("k", n)
		loc := put(t, l, want)[0]
		f := l.chain.Acquire(loc.Offset())
		cold, err := l.cold.read(f, loc.Offset(), n)
		require.NoError(t, err)
		v := View{b: cold.b, cold: cold}
		require.Equal(t, want, string(v.Bytes()))
		v.Release()
		f.Release()
		l.hotFrom = l.Tail() // ask the kernel instead of assuming
		require.Equal(t, want, content(t, l, loc, n))
	}
}

func TestViewSurvivesRemovalAndTheFileIsRecycledAfterwards(t *testing.T) {
	pool, err := segment.OpenPool(t.TempDir(), 2)
	require.NoError(t, err)
	ln := newLane(t, Options{Pool: pool})
	l, _ := ln.open()
	loc := put(t, l, "kept", strings.Repeat("z", 4000))[0]
	v, err := l.View(loc, 4)
	require.NoError(t, err)
	require.ErrorIs(t, l.Remove(4096), ErrInUse)
	require.ErrorIs(t, l.Remove(8192), ErrNotFound)

	name := fmt.Sprintf("%020d", 0)
	file, err := os.Stat(filepath.Join(ln.dir, name))
	require.NoError(t, err)
	require.NoError(t, l.Remove(0))
	_, err = l.View(loc, 4)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, "kept", string(v.Bytes()))
	require.Zero(t, pool.Spares(4096))
	v.Release()
	// The goroutine that sealed the segment may still hold it; the one that prepares the
	// next segment may take the spare file at once.
	recycled := func() bool {
		entries, err := os.ReadDir(ln.dir)
		require.NoError(t, err)
		return pool.Spares(4096) == 1 || slices.ContainsFunc(entries, func(e os.DirEntry) bool {
			info, err := e.Info()
			return err == nil && e.Name() != name && os.SameFile(info, file)
		})
	}
	require.Eventually(t, recycled, time.Minute, time.Millisecond)
	require.Len(t, l.Segments(), 1)
}

func TestViewSurvivesClose(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	loc := put(t, l, "kept")[0]
	v, err := l.View(loc, 4)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.Equal(t, "kept", string(v.Bytes()))
	v.Release()
}

func TestClosedLogRefusesEverything(t *testing.T) {
	ln := newLane(t, Options{Flush: Async})
	l, _ := ln.open()
	loc := put(t, l, "a")[0]
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.Append(&Record{}, nil, 0), ErrClosed)
	_, err := l.AppendFrame(nil, 0, 0)
	require.ErrorIs(t, err, ErrClosed)
	_, err = l.View(loc, 1)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, l.Sync(), ErrClosed)
	require.ErrorIs(t, l.RollIfOld(0), ErrClosed)
	require.ErrorIs(t, l.Remove(0), ErrClosed)
	require.ErrorIs(t, l.Scan(0, 10, nil), ErrClosed)
	require.False(t, l.DiskFull())
}

func TestConcurrentProducersAndReaders(t *testing.T) {
	everyMode(t, func(t *testing.T, o Options) {
		o.SegmentSize, o.MaxBatchBytes, o.MaxPendingBytes = 64<<10, 2000, 8000
		ln := newLane(t, o)
		l, _ := ln.open()
		var wg sync.WaitGroup
		for p := range 8 {
			wg.Go(func() {
				for i := range 60 {
					want := fmt.Sprintf("%d-%d-%s", p, i, strings.Repeat("x", i*7))
					loc := put(t, l, want)[0]
					require.Equal(t, want, content(t, l, loc, len(want)))
				}
			})
		}
		wg.Wait()
		require.NoError(t, l.Close())
		_, s := ln.open()
		require.Len(t, s.payloads, 480)
		require.IsIncreasing(t, s.locs)
		require.Empty(t, s.stats.Damaged)
	})
}

// gate holds every write until it is opened.
type gate struct {
	segment.Disk
	held chan struct{}
}

func (g *gate) WriteAt(f *os.File, p []byte, off int64) error {
	<-g.held
	return g.Disk.WriteAt(f, p, off)
}

func TestAppendBlocksBeyondThePendingLimit(t *testing.T) {
	g := &gate{held: make(chan struct{})}
	ln := newLane(t, Options{SegmentSize: 1 << 20, MaxPendingBytes: 3000, IO: g})
	l, _ := ln.open()
	accepted := make(chan int, 100)
	go func() {
		defer close(accepted)
		for i := range 10 {
			if l.Append(&Record{Payload: make([]byte, 1000-RecordHeaderSize)}, nil, 0) == nil {
				accepted <- i
			}
		}
	}()
	for range 3 {
		<-accepted
	}
	select {
	case <-accepted:
		t.Fatal("accepted more than the limit")
	default:
	}
	close(g.held)
	n := 3
	for range accepted {
		n++
	}
	require.Equal(t, 10, n)
	require.NoError(t, l.Close())
	_, s := ln.open()
	require.Len(t, s.payloads, 10)
}

func TestCloseReleasesBlockedProducers(t *testing.T) {
	g := &gate{held: make(chan struct{})}
	ln := newLane(t, Options{SegmentSize: 1 << 20, MaxPendingBytes: 1, IO: g})
	l, _ := ln.open()
	require.NoError(t, l.Append(&Record{}, nil, 0))
	result := make(chan error)
	go func() { result <- l.Append(&Record{}, nil, 0) }()
	closed := make(chan error)
	go func() { closed <- l.Close() }()
	require.ErrorIs(t, <-result, ErrClosed)
	close(g.held)
	require.NoError(t, <-closed)
}

func TestRawFramesAreNotReadAsRecords(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	raw := bytes.Repeat([]byte{0xff}, 100)
	loc, err := l.AppendFrame(raw, 3, 5000)
	require.NoError(t, err)
	_, err = l.AppendFrame(nil, 0, 4000)
	require.NoError(t, err)
	require.Equal(t, string(raw), content(t, l, loc+FrameHeaderSize, 100))
	var frames []Frame
	require.NoError(t, l.Scan(0, l.Tail(), func(f Frame) error {
		for range f.Items() {
			t.Fatal("a raw frame has no records")
		}
		f.Payload = bytes.Clone(f.Payload)
		frames = append(frames, f)
		return nil
	}))
	require.Equal(t, raw, frames[0].Payload)
	require.Equal(t, 3, frames[0].Records)
	require.EqualValues(t, 5000, frames[1].StoreMs, "store time does not decrease")
	require.EqualValues(t, 3, l.Segments()[0].Records)
	require.EqualValues(t, 5000, l.Segments()[0].MaxStoreMs)
}

func TestScanVisitsTheFramesOfARange(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	locs := put(t, l, "a", strings.Repeat("b", 4000), "c", "d")
	require.NoError(t, l.Remove(0))
	var s seen
	require.NoError(t, l.Scan(0, locs[3].Offset()-FrameHeaderSize-RecordHeaderSize, s.visit))
	require.Equal(t, locs[1:3], s.locs)
	stop := fmt.Errorf("stop")
	require.ErrorIs(t, l.Scan(0, l.Tail(), func(Frame) error { return stop }), stop)
}

func TestAsyncFlushesInTheBackground(t *testing.T) {
	synced := make(chan struct{}, 100)
	d := &notifyingDisk{synced: synced}
	ln := newLane(t, Options{Flush: Async, FlushEvery: time.Millisecond, IO: d})
	l, _ := ln.open()
	put(t, l, "a")
	<-synced // creation of the segment
	<-synced // the flusher
	require.NoError(t, l.Close())
}

type notifyingDisk struct {
	segment.Disk
	synced chan struct{}
}

func (d *notifyingDisk) Datasync(f *os.File) error {
	err := d.Disk.Datasync(f)
	d.synced <- struct{}{}
	return err
}

func TestOptionsAreValidated(t *testing.T) {
	for _, o := range []Options{
		{SegmentSize: 100}, {SegmentSize: -4096}, {Flush: 9}, {Writer: 9}, {MaxBatchBytes: -1}, {RollAfter: -1},
	} {
		_, _, err := Open(t.TempDir(), nil, 0, nil, &o)
		require.Error(t, err, "%+v", o)
	}
	l, _, err := Open(t.TempDir(), nil, 0, nil, nil)
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
