package commitlog

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog/segment"
)

const sector = 512

// shadowDisk remembers for each file what was synced, and which sectors were
// written since. A crash keeps the former and a random part of the latter.
type shadowDisk struct {
	segment.Disk
	mu    sync.Mutex
	files map[uint64]*shadow // by inode, for files are renamed
	fuse  int                // operations until the power fails
}

// burn is called with mu held before each operation.
func (d *shadowDisk) burn() error {
	d.fuse--
	if d.fuse < 0 {
		return errBroken
	}
	return nil
}

type shadow struct {
	durable []byte
	dirty   map[int64]bool // sector numbers
}

func (d *shadowDisk) of(f *os.File) *shadow {
	id := inode(f)
	if d.files[id] == nil {
		st, _ := f.Stat()
		b := make([]byte, st.Size())
		_, _ = f.ReadAt(b, 0)
		d.files[id] = &shadow{durable: b, dirty: make(map[int64]bool)}
	}
	return d.files[id]
}

func (d *shadowDisk) WriteAt(f *os.File, p []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.burn(); err != nil {
		return err
	}
	s := d.of(f)
	for n := off / sector; n*sector < off+int64(len(p)); n++ {
		s.dirty[n] = true
	}
	return d.Disk.WriteAt(f, p, off)
}

func (d *shadowDisk) Datasync(f *os.File) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.burn(); err != nil {
		return err
	}
	s := d.of(f)
	for n := range s.dirty {
		s.durable = slices.Concat(s.durable, make([]byte, max(0, (n+1)*sector-int64(len(s.durable)))))
		_, _ = f.ReadAt(s.durable[n*sector:(n+1)*sector], n*sector)
	}
	clear(s.dirty)
	return nil
}

// crash turns the files of dir into what a power loss could have left.
func (d *shadowDisk) crash(t *testing.T, dir string, rnd *rand.Rand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	keep := rnd.Float64()
	for _, path := range paths {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		if s := d.files[inode(f)]; s != nil {
			for n := range s.dirty {
				old := make([]byte, sector)
				if n*sector < int64(len(s.durable)) {
					copy(old, s.durable[n*sector:])
				}
				if rnd.Float64() >= keep {
					_, err = f.WriteAt(old, n*sector)
					require.NoError(t, err)
				}
			}
		}
		require.NoError(t, f.Close())
	}
	clear(d.files)
}

// TestAcknowledgedRecordsSurviveEveryCrash runs incarnations of a lane, each ended
// by a power loss between a write and its sync. With Sync nothing acknowledged may be
// missing; with either policy what comes back was written, at its own location and
// in order, and never changes afterwards.
func TestAcknowledgedRecordsSurviveEveryCrash(t *testing.T) {
	for _, policy := range []FlushPolicy{Sync, Async} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%v-%d", policy, seed), func(t *testing.T) {
				t.Parallel() // they wait for directory syncs
				crashes(t, policy, rand.New(rand.NewPCG(seed, 1)))
			})
		}
	}
}

func crashes(t *testing.T, policy FlushPolicy, rnd *rand.Rand) {
	pool, err := segment.OpenPool(t.TempDir(), 2)
	require.NoError(t, err)
	disk := &shadowDisk{files: make(map[uint64]*shadow)}
	ln := newLane(t, Options{SegmentSize: 16 << 10, MaxBatchBytes: 3000, Flush: policy, Pool: pool, IO: disk})
	must := make(map[Loc]string)    // acknowledged, or seen after a recovery
	written := make(map[Loc]string) // ever given to a completer with this location
	for round := range 6 {
		ln.own.setNow(int64(round * 10))
		disk.fuse = 1 << 30
		l, s := ln.open()
		verify(t, s, policy, must, written)
		dropOldest(t, ln, l, rnd, must)
		disk.mu.Lock()
		disk.fuse = rnd.IntN(100)
		disk.mu.Unlock()
		produce(l, rnd, round, policy, must, written)
		_ = l.Close()
		disk.crash(t, ln.dir, rnd)
	}
}

// verify checks a recovery against what is known, and makes it the new truth.
func verify(t *testing.T, s *seen, policy FlushPolicy, must, written map[Loc]string) {
	require.IsIncreasing(t, append([]Loc{0}, s.locs...))
	got := make(map[Loc]string)
	for i, loc := range s.locs {
		require.True(t, written[loc] == s.payloads[i], "at %v want %.10s got %.10s", loc, written[loc], s.payloads[i])
		got[loc] = s.payloads[i]
	}
	for loc, p := range must {
		require.Equal(t, p, got[loc], "lost %v", loc)
	}
	if policy == Sync {
		require.Empty(t, s.stats.Damaged)
	}
	clear(must)
	for loc, p := range got {
		must[loc] = p // it was made durable by Open
	}
}

// dropOldest recycles the first segment now and then.
func dropOldest(t *testing.T, ln *lane, l *Log, rnd *rand.Rand, must map[Loc]string) {
	segs := l.Segments()
	if len(segs) < 2 || rnd.IntN(2) == 0 {
		return
	}
	ln.own.segs = slices.DeleteFunc(ln.own.segs, func(s SegmentInfo) bool { return s.Base == segs[0].Base })
	require.NoError(t, l.Remove(segs[0].Base))
	for loc := range must {
		if loc.Offset() < segs[0].Base+ln.o.SegmentSize {
			delete(must, loc)
		}
	}
}

func produce(l *Log, rnd *rand.Rand, round int, policy FlushPolicy, must, written map[Loc]string) {
	for i := range 40 {
		var cs []*catcher
		var ps []string
		for range 1 + rnd.IntN(4) {
			p := fmt.Sprintf("%d.%d.%s", round, i, strings.Repeat("x", rnd.IntN(1500)))
			c := &catcher{done: make(chan struct{})}
			if l.Append(&Record{Payload: []byte(p)}, c, 0) == nil {
				cs, ps = append(cs, c), append(ps, p)
			}
		}
		for n, c := range cs {
			<-c.done
			written[c.loc] = ps[n]
			if c.err == nil && policy == Sync {
				must[c.loc] = ps[n]
			}
		}
	}
}
