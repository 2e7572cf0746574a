package keyindex

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// runFile puts b under the name of the golden run.
func runFile(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), RunName(goldenInfo))
	require.NoError(t, os.WriteFile(path, b, 0o644))
	return path
}

func TestARunFileTellsWhatIsInIt(t *testing.T) {
	f, err := OpenRunFile(runFile(t, golden(t)))
	require.NoError(t, err)
	defer f.Close()
	require.Equal(t, goldenInfo, f.Info())
	require.Equal(t, uint8(2), f.Lane())
	require.Equal(t, int64(1_800_000_000_000), f.CreatedMs())
	require.Equal(t, int64(2), f.Blocks())

	var all []Entry
	for i := range f.Blocks() {
		first := len(all)
		all, err = f.Block(i, all)
		require.NoError(t, err)
		require.Equal(t, all[first].Hash, f.Fence(i))
	}
	want := goldenEntries()
	slices.SortFunc(want, compare)
	require.Equal(t, want, all)
	require.Equal(t, int64(headerSize+blockBytes), f.BlockOffset(1))

	for _, e := range want {
		var got []uint64
		require.NoError(t, f.Find(e.Hash, func(loc uint64) bool { got = append(got, loc); return true }))
		require.Equal(t, wanted(goldenEntries(), e.Hash), got)
	}
}

func TestARunFileReportsDamageByPlace(t *testing.T) {
	b := golden(t)
	for name, x := range map[string]struct {
		bytes []byte
		want  error
	}{
		"magic":     {flipped(b, 0), ErrMagic},
		"header":    {flipped(b, 20), ErrChecksum},
		"fences":    {flipped(b, len(b)-1), ErrChecksum},
		"truncated": {b[:len(b)-1], ErrTruncated},
		"short":     {b[:100], ErrTruncated},
		"empty":     {nil, ErrTruncated},
	} {
		_, err := OpenRunFile(runFile(t, x.bytes))
		var bad *CorruptionError
		require.ErrorAs(t, err, &bad, name)
		require.ErrorIs(t, err, x.want, name)
	}
	_, err := OpenRunFile(filepath.Join(t.TempDir(), RunName(goldenInfo)))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestARunFileUnderAnotherNameIsDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), RunName(RunInfo{Start: 0, End: 512}))
	require.NoError(t, os.WriteFile(path, golden(t), 0o644))
	_, err := OpenRunFile(path)
	require.ErrorIs(t, err, ErrLayout)
}

func TestADamagedBlockLeavesTheOthersOfARunFile(t *testing.T) {
	f, err := OpenRunFile(runFile(t, flipped(golden(t), headerSize+5)))
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Block(0, nil)
	var bad *CorruptionError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, int64(headerSize), bad.Offset)
	es, err := f.Block(1, nil)
	require.NoError(t, err)
	require.Len(t, es, 300-blockEntries)
	require.ErrorAs(t, f.Find(goldenEntries()[0].Hash, func(uint64) bool { return true }), &bad)
}

// flipped is b with one bit changed.
func flipped(b []byte, at int) []byte {
	out := slices.Clone(b)
	out[at] ^= 1
	return out
}
