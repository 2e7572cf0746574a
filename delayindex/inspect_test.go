package delayindex

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// runOf writes a run of n entries, one due each second.
func runOf(t *testing.T, n int) (path string, want []Entry) {
	dir := t.TempDir()
	x, err := Open(dir, nil, 0, &Options{Lane: 2})
	require.NoError(t, err)
	for i := range n {
		want = append(want, Entry{When: MakeWhen(int64(i+1)*1000, 0), Loc: 2<<56 | uint64(i), Size: 3})
	}
	x.Add(want, int64(n)+1)
	require.True(t, x.Freeze())
	ri, _, err := x.Flush(nil)
	require.NoError(t, err)
	require.NoError(t, x.Close())
	return filepath.Join(dir, RunName(ri)), want
}

func TestRunFileGivesEveryEntryAndFindsTimes(t *testing.T) {
	const n = 3*blockEntries + 5
	path, want := runOf(t, n)
	f, err := OpenRunFile(path)
	require.NoError(t, err)
	defer f.Close()
	require.Equal(t, uint8(2), f.Lane())
	require.Equal(t, int64(n), f.Info().Count)
	var got []Entry
	for i := range f.Blocks() {
		got, err = f.Block(i, got)
		require.NoError(t, err)
	}
	require.Equal(t, want, got)
	require.Equal(t, int64(0), f.FirstBlock(0))
	block, err := f.Block(f.FirstBlock(5000*1000), nil)
	require.NoError(t, err)
	require.Contains(t, block, want[4999])
	requireRow(t, f, path, block[7], 7)
}

// requireRow finds an entry of the block that was read last in the file's bytes.
func requireRow(t *testing.T, f *RunFile, path string, want Entry, j int) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	l := f.Layout()
	row := b[f.RowOffset(f.FirstBlock(want.FireMs()), j):]
	field := func(k int) (v uint64) {
		for i := range l.Width[k] {
			v |= uint64(row[l.At[k]+i]) << (8 * i)
		}
		return v + l.Base[k]
	}
	require.Equal(t, want.When, field(0)<<l.Shift)
	require.Equal(t, want.Loc, field(1))
	require.Equal(t, uint64(want.Size), field(2))
}

func TestRunFileReadsAroundADamagedBlock(t *testing.T) {
	path, _ := runOf(t, 3*blockEntries)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[blockAt(b, 1)] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o644))
	f, err := OpenRunFile(path)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Block(1, nil)
	require.ErrorIs(t, err, ErrChecksum)
	_, err = f.Block(2, nil)
	require.NoError(t, err)
}

func TestRunFileRefusesADamagedHeaderAndAnotherName(t *testing.T) {
	path, _ := runOf(t, 10)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	other := filepath.Join(filepath.Dir(path), RunName(RunInfo{Start: 7, End: 9}))
	require.NoError(t, os.WriteFile(other, b, 0o644))
	_, err = OpenRunFile(other)
	require.ErrorIs(t, err, ErrLayout)
	b[20] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o644))
	_, err = OpenRunFile(path)
	require.ErrorIs(t, err, ErrChecksum)
}
