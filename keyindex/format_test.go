package keyindex

import (
	"encoding/binary"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/runfile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var goldenFile = filepath.Join("testdata", "version-1.keys")

// goldenEntries fill two blocks, with a hash that goes over their border.
func goldenEntries() []Entry {
	es := make([]Entry, 300)
	for i := range es {
		es[i] = Entry{Hash: uint64(i/3) << 56 >> 1, Loc: uint64(2)<<56 | uint64(1000+i*10)}
	}
	return es
}

var goldenInfo = RunInfo{Start: 512, End: 8192, Count: 300}

func openGolden(t *testing.T, dir string) (*Index, []*CorruptionError, error) {
	return Open(dir, []RunInfo{goldenInfo}, goldenInfo.End, &Options{Lane: 2})
}

func TestRunBytesAreGolden(t *testing.T) {
	x, _, err := Open(t.TempDir(), nil, goldenInfo.Start, &Options{Lane: 2})
	require.NoError(t, err)
	defer x.Close()
	x.now = openIndex(t, t.TempDir(), nil, 0).now
	x.Add(goldenEntries(), goldenInfo.End)
	require.True(t, x.Freeze())
	ri, _, err := x.Flush()
	require.NoError(t, err)
	require.Equal(t, goldenInfo, ri)
	got, err := os.ReadFile(x.set.Path(ri))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(goldenFile, got, 0o644))
	}
	want, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, int64(len(want)), ri.Bytes())
}

func TestKeptRunOfVersion1IsReadable(t *testing.T) {
	x, damaged, err := openGolden(t, dirWithRun(t, golden(t)))
	require.NoError(t, err)
	require.Empty(t, damaged)
	defer x.Close()
	requireContent(t, x, goldenEntries())
}

func TestRunLayoutIsAsDocumented(t *testing.T) {
	b := golden(t)
	le := binary.LittleEndian
	require.Len(t, b, 4096+2*4096+2*8)
	require.Equal(t, "DuelKey\n", string(b[:8]))
	require.Equal(t, uint16(1), le.Uint16(b[8:]))
	require.Equal(t, byte(2), b[10], "lane")
	require.Equal(t, uint64(512), le.Uint64(b[16:]))
	require.Equal(t, uint64(8192), le.Uint64(b[24:]))
	require.Equal(t, uint64(300), le.Uint64(b[32:]))
	require.Equal(t, uint32(2), le.Uint32(b[48:]), "blocks")
	es := goldenEntries()
	require.Equal(t, es[1].Hash, le.Uint64(b[4096+16:]))
	require.Equal(t, es[1].Loc, le.Uint64(b[4096+24:]))
	require.Equal(t, es[255].Hash, le.Uint64(b[2*4096:]), "255 entries in a block")
	require.Equal(t, uint32(1), le.Uint32(b[2*4096+4080:]), "number of the block")
	require.Equal(t, es[255].Hash, le.Uint64(b[3*4096+8:]), "fence")
}

func golden(t require.TestingT) []byte {
	b, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	return b
}

// dirWithRun returns a directory with data as the golden run.
func dirWithRun(t testing.TB, data []byte) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, RunName(goldenInfo)), data, 0o644))
	return dir
}

func TestDamagedRunIsLeftOutAndReported(t *testing.T) {
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   error
	}{
		"cut":           {func(b []byte) []byte { return b[:len(b)-1] }, ErrTruncated},
		"too short":     {func(b []byte) []byte { return b[:100] }, ErrTruncated},
		"empty":         {func([]byte) []byte { return nil }, ErrTruncated},
		"longer":        {func(b []byte) []byte { return append(b, 0) }, ErrLayout},
		"magic":         {func(b []byte) []byte { b[0]++; return b }, ErrMagic},
		"old version":   {func(b []byte) []byte { le.PutUint16(b[8:], 0); return reseal(b) }, ErrVersion},
		"version bit":   {func(b []byte) []byte { b[9] ^= 0x40; return b }, ErrChecksum},
		"header bit":    {func(b []byte) []byte { b[30]++; return b }, ErrChecksum},
		"padding":       {func(b []byte) []byte { b[4000]++; return b }, ErrChecksum},
		"fence bit":     {func(b []byte) []byte { b[len(b)-1]++; return b }, ErrChecksum},
		"other range":   {func(b []byte) []byte { le.PutUint64(b[24:], 9000); return reseal(b) }, ErrLayout},
		"other lane":    {func(b []byte) []byte { b[10] = 3; return reseal(b) }, ErrLayout},
		"no entries":    {func(b []byte) []byte { le.PutUint64(b[32:], 0); return reseal(b) }, ErrLayout},
		"many entries":  {func(b []byte) []byte { le.PutUint64(b[32:], 1<<62); return reseal(b) }, ErrLayout},
		"fences turned": {func(b []byte) []byte { le.PutUint64(b[3*4096:], 1<<63); return reseal(b) }, ErrLayout},
	} {
		t.Run(name, func(t *testing.T) {
			x, damaged, err := openGolden(t, dirWithRun(t, c.change(golden(t))))
			require.NoError(t, err)
			defer x.Close()
			require.Len(t, damaged, 1)
			require.ErrorIs(t, damaged[0], c.want)
			require.Equal(t, goldenInfo, damaged[0].Run)
			require.Empty(t, x.Runs())
			require.Len(t, fileNames(t, x.dir), 1, "the evidence stays until it is unregistered")
		})
	}
}

func TestMissingRunIsReported(t *testing.T) {
	x, damaged, err := openGolden(t, t.TempDir())
	require.NoError(t, err)
	defer x.Close()
	require.Len(t, damaged, 1)
	require.ErrorIs(t, damaged[0], fs.ErrNotExist)
}

func TestNewerRunIsAVersionErrorAndStays(t *testing.T) {
	b := golden(t)
	binary.LittleEndian.PutUint16(b[8:], 2)
	dir := dirWithRun(t, reseal(b))
	_, _, err := openGolden(t, dir)
	var newer *VersionError
	require.ErrorAs(t, err, &newer)
	require.ErrorIs(t, err, ErrVersion)
	require.Equal(t, uint16(2), newer.Version)
	require.Len(t, fileNames(t, dir), 1)
}

func TestDamagedBlockCostsItsOwnKeys(t *testing.T) {
	b := golden(t)
	b[2*4096+50]++
	x, damaged, err := openGolden(t, dirWithRun(t, b))
	require.NoError(t, err)
	require.Empty(t, damaged)
	defer x.Close()
	es := goldenEntries()
	tail := []Entry{{Hash: es[299].Hash, Loc: 2<<56 | 9000}}
	x.Add(tail, 10_000)
	var got []uint64
	err = x.Find(es[299].Hash, func(loc uint64) bool { got = append(got, loc); return true })
	var bad *CorruptionError
	require.ErrorAs(t, err, &bad)
	require.ErrorIs(t, err, ErrChecksum)
	require.Equal(t, int64(2*4096), bad.Offset)
	require.Equal(t, []uint64{2<<56 | 9000}, got)
	requireContent(t, x, es[:252])

	// A merge writes what is left.
	require.True(t, x.Freeze())
	ri, wrote, err := x.Flush()
	require.NoError(t, err)
	require.NoError(t, x.Install(ri, wrote))
	mergeAll(t, x, x.Runs(), nil)
	requireContent(t, x, append(es[:255:255], tail...))
}

func TestBlockThatBelongsElsewhereIsNotBelieved(t *testing.T) {
	b := golden(t)
	copy(b[4096:2*4096], b[2*4096:])
	require.ErrorIs(t, checkBlock(b[4096:2*4096], 0), ErrLayout)
	require.NoError(t, checkBlock(b[4096:2*4096], 1))
}

// reseal makes the checksums of a changed file true.
func reseal(b []byte) []byte {
	if len(b) < headerSize {
		return b
	}
	le := binary.LittleEndian
	if blocks := int(le.Uint32(b[48:])); blocks > 0 && blocks < 1000 && len(b) >= headerSize+blocks*(blockBytes+fenceSize) {
		for i := range blocks {
			sealBlock((*[blockBytes]byte)(b[headerSize+i*blockBytes:]), int64(i))
		}
		at := headerSize + blocks*blockBytes
		le.PutUint32(b[52:], runfile.Checksum(b[at:at+blocks*fenceSize]))
	}
	le.PutUint32(b[headerCRCAt:], runfile.ChecksumExcept(b[:headerSize], headerCRCAt))
	return b
}
