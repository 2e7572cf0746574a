package cold

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

func openFileOf(t testing.TB, dir string, info Info) *File {
	t.Helper()
	f, err := OpenFile(filePath(dir, info), testLane, &info)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	return f
}

// requireRecords reads all of f and returns what is lost.
func requireRecords(t testing.TB, f *File, want []kept) (lost []*BlockError) {
	t.Helper()
	for it, err := range f.Records() {
		if err != nil {
			var bad *BlockError
			require.ErrorAs(t, err, &bad)
			require.ErrorAs(t, err, new(*commitlog.CorruptionError))
			lost = append(lost, bad)
			for len(want) > 0 && want[0].off >= bad.From && want[0].off < bad.To {
				want = want[1:]
			}
			continue
		}
		require.NotEmpty(t, want)
		require.Equal(t, commitlog.MakeLoc(testLane, want[0].off), it.Loc)
		require.Equal(t, want[0].When, it.When)
		b, err := f.View(it.Loc.Offset(), it.Size)
		require.NoError(t, err)
		require.Equal(t, string(want[0].Payload), string(b))
		want = want[1:]
	}
	require.Empty(t, want, "every record is yielded or in a lost range")
	return lost
}

func TestAFileIsReadWithoutItsSetAndNothingChanges(t *testing.T) {
	dir := t.TempDir()
	recs := jsonRecords(500)
	info := write(t, openSet(t, dir), testBase, recs)
	require.NoError(t, os.WriteFile(filepath.Join(dir, fileName(0)), []byte("nobody's"), 0o644))
	before, err := os.ReadFile(filePath(dir, info))
	require.NoError(t, err)
	require.NoError(t, os.Chmod(filePath(dir, info), 0o444))

	for _, known := range []*Info{&info, nil} {
		f, err := OpenFile(filePath(dir, info), testLane, known)
		require.NoError(t, err)
		require.Empty(t, f.Damage())
		require.Equal(t, info, f.Info())
		require.Empty(t, requireRecords(t, f, recs))
		_, err = f.View(recs[7].off, int32(len(recs[7].Payload))+1)
		require.ErrorIs(t, err, commitlog.ErrRange)
		require.NoError(t, f.Close())
	}
	after, err := os.ReadFile(filePath(dir, info))
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.FileExists(t, filepath.Join(dir, fileName(0)))
	_, err = OpenFile(filepath.Join(dir, fileName(testSegment)), testLane, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestWhatIsDeadIsNotYieldedThoughItsBlocksAreHoles(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	recs := jsonRecords(2000)
	info := write(t, s, testBase, recs)
	dying := s.Dying(recs[1500].When)
	require.Len(t, dying, 1)
	require.NoError(t, s.Release(dying))
	info = dying[0]
	require.Positive(t, info.DeadTo)
	live := 0
	for recs[live].off < info.Base+info.DeadTo {
		live++
	}
	f := openFileOf(t, dir, info)
	require.Empty(t, requireRecords(t, f, recs[live:]))
	_, err := f.View(recs[live-1].off, int32(len(recs[live-1].Payload)))
	require.ErrorIs(t, err, commitlog.ErrNotFound)
}

func TestDamageOfAFileIsReportedBlockByBlock(t *testing.T) {
	dir := t.TempDir()
	recs := jsonRecords(1000)
	info := write(t, openSet(t, dir), testBase, recs)
	good, err := os.ReadFile(filePath(dir, info))
	require.NoError(t, err)
	second, ok := openFileOf(t, dir, info).Block(recs[200].off)
	require.True(t, ok)

	for name, at := range map[string]struct {
		flip          int64
		damaged, lost int
	}{
		"header":          {20, 1, 0},
		"block":           {second.Offset + second.Stored/2, 0, 1},
		"header of block": {second.Offset, 0, 1},
		"table":           {info.FileSize - footerSize - 5, 1, 0},
		"footer":          {info.FileSize - 20, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := append([]byte(nil), good...)
			b[at.flip] ^= 1
			f := openFileOf(t, dirWith(t, info, b), info)
			require.Len(t, f.Damage(), at.damaged)
			for _, err := range f.Damage() {
				require.ErrorAs(t, err, new(*commitlog.CorruptionError))
			}
			lost := requireRecords(t, f, recs)
			require.Len(t, lost, at.lost)
			for _, l := range lost {
				require.Equal(t, []int64{second.Offset, second.From, second.To}, []int64{l.Offset, l.From, l.To})
			}
		})
	}
}

// TestWhatNoBlockHasIsReported damages table and block, so that nobody knows of the
// block any more.
func TestWhatNoBlockHasIsReported(t *testing.T) {
	dir := t.TempDir()
	recs := jsonRecords(1000)
	info := write(t, openSet(t, dir), testBase, recs)
	b, err := os.ReadFile(filePath(dir, info))
	require.NoError(t, err)
	whole := openFileOf(t, dir, info)
	first, _ := whole.Block(recs[0].off)
	last, _ := whole.Block(recs[999].off)
	b[info.FileSize-20] ^= 1
	b[first.Offset+99] ^= 1
	b[last.Offset+99] ^= 1
	lost := requireRecords(t, openFileOf(t, dirWith(t, info, b), info), recs)
	require.Len(t, lost, 2)
	require.Equal(t, []int64{headerSize, first.From, first.To}, []int64{lost[0].Offset, lost[0].From, lost[0].To})
	require.Equal(t, []int64{last.From, last.To}, []int64{lost[1].From, lost[1].To})
	require.ErrorIs(t, lost[0], ErrLost)
}

func FuzzFile(f *testing.F) {
	for _, name := range []string{"version-1.cold", "version-1-zstd.cold", "version-1-void.cold"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		require.NoError(f, err)
		f.Add(b)
		f.Add(b[:len(b)-1])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		path := filepath.Join(t.TempDir(), fileName(testBase))
		require.NoError(t, os.WriteFile(path, b, 0o644))
		x, err := OpenFile(path, testLane, nil)
		if err != nil {
			return
		}
		for it, err := range x.Records() {
			if err == nil {
				_, err = x.View(it.Loc.Offset(), it.Size)
				require.NoError(t, err)
			}
		}
		for b := range x.Blocks() {
			require.LessOrEqual(t, int64(len(x.Remains(b.From))), b.To-b.From)
			_, _, _ = x.Record(b.From + commitlog.RecordHeaderSize)
		}
		require.NoError(t, x.Close())
	})
}

// Older releases made blocks of 64 KiB; any size is read.
func TestFilesWithOtherBlockSizesAreRead(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	var infos []Info
	var all []kept
	for i, target := range []int{1, 4 << 10, 64 << 10, 1 << 20} {
		recs := jsonRecords(300)
		infos = append(infos, writeBlocks(t, s, int64(i)*testSegment, target, recs))
		all = append(all, recs...)
	}
	require.NoError(t, s.Close())
	s = openSet(t, dir, infos...)
	requireReadable(t, s, all)
	require.Len(t, s.files[0].blocks, 300)
	require.Len(t, s.files[3*testSegment].blocks, 1)
}

func TestBlocksThatAreStoredAsTheyAreAreRead(t *testing.T) {
	sizes := map[bool]int64{}
	for _, raw := range []bool{false, true} {
		s, err := Open(t.TempDir(), nil, Options{Lane: testLane, SegmentSize: testSegment, BlockBytes: 1 << 10, Raw: raw})
		require.NoError(t, err)
		recs := jsonRecords(300)
		w, err := s.Create(testBase, startMs)
		require.NoError(t, err)
		for i := range recs {
			recs[i].off, err = w.Append(&recs[i].Record)
			require.NoError(t, err)
		}
		info, err := w.Finish()
		require.NoError(t, err)
		l, err := s.Load(info)
		require.NoError(t, err)
		s.Add(l)
		requireReadable(t, s, recs)
		require.Greater(t, len(s.files[testBase].blocks), 100)
		sizes[raw] = info.FileSize
		require.NoError(t, s.Close())
	}
	require.Less(t, sizes[false], sizes[true])
}
