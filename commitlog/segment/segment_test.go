package segment

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const size = 64 << 10

func newChain(t *testing.T, o Options) *Chain {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	if o.Size == 0 {
		o.Size = size
	}
	c, err := NewChain(filepath.Join(t.TempDir(), "chain"), o)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func newPool(t *testing.T, keep int) *Pool {
	t.Helper()
	p, err := OpenPool(filepath.Join(t.TempDir(), "pool"), keep)
	require.NoError(t, err)
	return p
}

func create(t *testing.T, c *Chain, base int64) *File {
	t.Helper()
	f, err := c.Create(base)
	require.NoError(t, err)
	c.Add(f)
	return f
}

func TestBothWritersAreReadBackThroughMappingAndSystemCall(t *testing.T) {
	for _, w := range []Writer{Pwrite, Mmap} {
		t.Run(w.String(), func(t *testing.T) {
			c := newChain(t, Options{Writer: w})
			f := create(t, c, size)
			require.NoError(t, f.WriteAt([]byte("hello"), 4094))
			require.NoError(t, f.WriteAt([]byte("end"), size-3))
			require.NoError(t, f.Sync())
			require.Equal(t, "hello", string(f.Bytes(4094, 5)))
			b := make([]byte, 3)
			require.NoError(t, f.ReadAt(b, size-3))
			require.Equal(t, "end", string(b))
			onDisk, err := os.ReadFile(c.Path(size))
			require.NoError(t, err)
			require.Len(t, onDisk, size)
			require.Equal(t, "hello", string(onDisk[4094:4099]))

			for _, off := range []int64{-1, size - 2, size} {
				require.ErrorIs(t, f.WriteAt([]byte("xyz"), off), ErrRange)
				require.ErrorIs(t, f.ReadAt(b, off), ErrRange)
			}
		})
	}
}

func TestMmapWriterPopulatesAheadAcrossALargeFile(t *testing.T) {
	c := newChain(t, Options{Writer: Mmap, Size: 48 << 20})
	f := create(t, c, 0)
	chunk := bytes.Repeat([]byte("w"), 1<<20)
	for off := int64(0); off < f.Size(); off += int64(len(chunk)) {
		require.NoError(t, f.WriteAt(chunk, off))
	}
	require.Equal(t, f.Size(), f.w.(*mapWriter).populated)
	require.Equal(t, chunk, f.Bytes(47<<20, 1<<20))
}

func TestWrittenPagesAreResident(t *testing.T) {
	c := newChain(t, Options{Size: 1 << 20})
	f := create(t, c, 0)
	require.NoError(t, f.WriteAt(make([]byte, 1<<20), 0))
	want := f.Resident(0, 1) // false where the platform cannot tell
	require.Equal(t, want, f.Resident(5000, 900_000), "more pages than one question covers")
}

func TestChainFindsSegmentsByDivision(t *testing.T) {
	c := newChain(t, Options{})
	create(t, c, 0)
	create(t, c, 3*size)
	for off, base := range map[int64]int64{0: 0, size - 1: 0, 3 * size: 3 * size, 4*size - 1: 3 * size} {
		f := c.Acquire(off)
		require.Equal(t, base, f.Base())
		f.Release()
	}
	require.Nil(t, c.Acquire(size))
	require.Nil(t, c.Acquire(4*size))
	require.Equal(t, []int64{0, 3 * size}, c.Bases())
}

func TestNamesListsSegmentsAndRecyclesTheDead(t *testing.T) {
	pool := newPool(t, 0)
	c := newChain(t, Options{Pool: pool})
	bases, err := c.Names()
	require.NoError(t, err)
	require.Empty(t, bases)
	create(t, c, size)
	create(t, c, 0)
	for name, n := range map[string]int64{"other": 1, "0000000000000000000x": 1, "00000000000000131072.dead": size, "00000000000000196608.dead": 5} {
		require.NoError(t, os.WriteFile(filepath.Join(c.dir, name), make([]byte, n), 0o644))
	}
	bases, err = c.Names()
	require.NoError(t, err)
	require.Equal(t, []int64{0, size}, bases)
	require.Equal(t, 1, pool.Spares(size), "only the one of full length")
	require.FileExists(t, filepath.Join(c.dir, "other"))
	require.NoFileExists(t, filepath.Join(c.dir, "00000000000000196608.dead"))
}

func TestRemovedFileLivesUntilItsLastReaderThenIsReused(t *testing.T) {
	pool := newPool(t, 0)
	c := newChain(t, Options{Pool: pool})
	f := create(t, c, 0)
	require.NoError(t, f.WriteAt([]byte("old"), 0))
	reader := c.Acquire(0)
	ok, err := c.Remove(0)
	require.NoError(t, err)
	require.True(t, ok)
	require.Nil(t, c.Acquire(0))
	require.NoFileExists(t, c.Path(0))
	require.Equal(t, "old", string(reader.Bytes(0, 3)))
	require.Zero(t, pool.Spares(size))
	reader.Release()
	require.False(t, f.Acquire())
	require.Equal(t, 1, pool.Spares(size))

	next := create(t, c, size)
	require.Zero(t, pool.Spares(size))
	require.Equal(t, "old", string(next.Bytes(0, 3)), "a recycled file keeps its bytes")
	ok, err = c.Remove(0)
	require.NoError(t, err)
	require.False(t, ok)
}

func TestWithoutAPoolRemovedFilesAreUnlinked(t *testing.T) {
	c := newChain(t, Options{})
	create(t, c, 0)
	_, err := c.Remove(0)
	require.NoError(t, err)
	entries, err := os.ReadDir(c.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestConcurrentReadersAndRemoval(t *testing.T) {
	c := newChain(t, Options{Pool: newPool(t, 0)})
	f := create(t, c, 0)
	require.NoError(t, f.WriteAt([]byte("data"), 0))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				if f := c.Acquire(0); f != nil {
					if string(f.Bytes(0, 4)) != "data" {
						panic("unmapped under a reader")
					}
					f.Release()
				}
			}
		})
	}
	_, err := c.Remove(0)
	require.NoError(t, err)
	wg.Wait()
}

func TestReleasingTwiceIsABug(t *testing.T) {
	c := newChain(t, Options{})
	f, err := c.Create(0)
	require.NoError(t, err)
	f.Release()
	require.PanicsWithValue(t, "BUG: segment released more often than acquired", f.Release)
}

func TestPoolIsBoundedPerSizeAndAdoptsWhatIsLeft(t *testing.T) {
	pool := newPool(t, 2)
	c := newChain(t, Options{Pool: pool})
	for i := range int64(4) {
		create(t, c, i*size)
	}
	for i := range int64(4) {
		_, err := c.Remove(i * size)
		require.NoError(t, err)
	}
	require.Equal(t, 2, pool.Spares(size))
	again, err := OpenPool(pool.dir, 1)
	require.NoError(t, err)
	require.Equal(t, 1, again.Spares(size))
	entries, err := os.ReadDir(pool.dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Zero(t, again.Spares(1))
	require.NoError(t, os.Remove(filepath.Join(pool.dir, entries[0].Name())))
	require.False(t, again.take(c.Path(0), size), "a spare that vanished is not handed out")
}

// fullDisk refuses to allocate.
type fullDisk struct {
	Disk
	full bool
}

func (d *fullDisk) Preallocate(f *os.File, off, n int64) error {
	if d.full {
		return syscall.ENOSPC
	}
	return d.Disk.Preallocate(f, off, n)
}

func TestCreateOnAFullDiskLeavesNothingNewBehind(t *testing.T) {
	pool := newPool(t, 0)
	disk := new(fullDisk)
	c := newChain(t, Options{Pool: pool, IO: disk})
	create(t, c, 0)
	_, err := c.Remove(0)
	require.NoError(t, err)
	disk.full = true
	for range 2 {
		_, err = c.Create(size)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.NoFileExists(t, c.Path(size))
		require.Equal(t, 1, pool.Spares(size), "the recycled file is kept for the next attempt")
	}
	c.o.Pool = nil
	_, err = c.Create(size)
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoFileExists(t, c.Path(size))
}

func TestCreateReusesAPreparedFile(t *testing.T) {
	c := newChain(t, Options{})
	f, err := c.Create(0)
	require.NoError(t, err)
	require.NoError(t, f.WriteAt([]byte("x"), 0))
	f.Release()
	require.FileExists(t, c.Path(0))
	f = create(t, c, 0)
	require.Equal(t, "x", string(f.Bytes(0, 1)))
}

func TestOpenRestoresTheLengthAndRefusesAnother(t *testing.T) {
	c := newChain(t, Options{})
	_, err := c.Open(0)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.MkdirAll(c.dir, 0o755))
	require.NoError(t, os.WriteFile(c.Path(0), []byte("short"), 0o644))
	f, err := c.Open(0)
	require.NoError(t, err)
	require.Equal(t, "short\x00", string(f.Bytes(0, 6)))
	require.NoError(t, f.Allocate(0))
	f.Release()
	require.NoError(t, os.Truncate(c.Path(0), size+1))
	_, err = c.Open(0)
	require.ErrorIs(t, err, ErrSize)
}

func TestTrimmedEndReadsAsZeroes(t *testing.T) {
	c := newChain(t, Options{})
	f := create(t, c, 0)
	require.NoError(t, f.WriteAt(bytes.Repeat([]byte("x"), size), 0))
	require.NoError(t, f.Trim(5000))
	require.NoError(t, f.Trim(size))
	require.Equal(t, "x", string(f.Bytes(5000, 1)), "the page is kept")
	if last := f.Bytes(size-1, 1)[0]; last != 0 {
		require.Equal(t, byte('x'), last, "platforms without holes keep the bytes")
	}
}

func TestFailedSyncNamesTheFile(t *testing.T) {
	c := newChain(t, Options{})
	f := create(t, c, 0)
	broken := errors.New("broken")
	f.io = brokenSync{err: broken}
	err := f.Sync()
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, c.Path(0))
}

type brokenSync struct {
	Disk
	err error
}

func (b brokenSync) Datasync(*os.File) error { return b.err }

func TestSizeMustBeAMultipleOfThePage(t *testing.T) {
	for _, n := range []int64{0, -4096, 100} {
		_, err := NewChain(t.TempDir(), Options{Size: n})
		require.Error(t, err)
	}
	require.Equal(t, "writer(7)", Writer(7).String())
}
