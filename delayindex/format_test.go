package delayindex

import (
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/runfile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenEntries fire in three hours, two of them adjacent, with a tie that loc
// decides and a tombstone.
func goldenEntries() []Entry {
	return []Entry{
		{When: MakeWhen(baseMs+300, 0), Loc: 24, Size: 100, Queue: 1, Tag: 0xaaaa, Key: 0x1111},
		{When: MakeWhen(baseMs+5*hourMs, 0), Loc: 1024, Size: 200, Queue: 2, Tag: 0xbbbb, Key: 0x2222},
		{When: MakeWhen(baseMs, 0), Loc: 2048, Size: 300, Queue: 3, Tag: 0xcccc, Key: 0x3333},
		{When: MakeWhen(baseMs+300, FlagTombstone), Loc: 3072, Size: 400, Queue: 1, Tag: 0, Key: 0x1111},
		{When: MakeWhen(baseMs+301, 0), Loc: 4000, Size: 500, Queue: 5, Tag: 0xeeee, Key: 0x5555},
	}
}

const goldenEnd = 4096

func goldenInfo() RunInfo {
	return RunInfo{End: goldenEnd, Count: 5, MinFireMs: baseMs, MaxFireMs: baseMs + 5*hourMs}
}

var (
	goldenFile = filepath.Join("testdata", "version-2.run")
	goldenOld  = filepath.Join("testdata", "version-1.run")
)

func TestRunBytesAreGolden(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	x.Add(goldenEntries(), goldenEnd)
	require.True(t, x.Freeze())
	ri, _, err := x.Flush(nil)
	require.NoError(t, err)
	require.Equal(t, goldenInfo(), ri)
	got, err := os.ReadFile(x.set.Path(ri))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(goldenFile, got, 0o644))
	}
	want, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestKeptRunsOfAllVersionsAreReadable(t *testing.T) {
	for _, path := range []string{goldenOld, goldenFile} {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		x := openIndex(t, dirWithRun(t, goldenInfo(), data), []RunInfo{goldenInfo()}, goldenEnd)
		requireContent(t, x, goldenEntries())
		f, err := OpenRunFile(filepath.Join(x.dir, RunName(goldenInfo())))
		require.NoError(t, err)
		es, err := f.Block(0, nil)
		require.NoError(t, err)
		require.Equal(t, selected(goldenEntries(), 0, MaxFireMs), es)
		require.NoError(t, f.Close())
	}
}

func TestRunLayoutIsAsDocumented(t *testing.T) {
	b, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	le := binary.LittleEndian
	// Times 4 bytes and flags 2, locs and sizes 2 each, queues 1, tags and keys 2 each.
	const row = 6 + 2 + 2 + 1 + 2 + 2
	require.Len(t, b, 64+48+5*row+16+(3+1)+2*(1+1)+64)
	require.Equal(t, "DuelRun\n", string(b[:8]))
	require.Equal(t, uint16(2), le.Uint16(b[8:]))
	require.Equal(t, uint64(goldenEnd), le.Uint64(b[24:]))
	require.Equal(t, uint64(5), le.Uint64(b[32:]))

	require.Equal(t, []byte{0, 6, 2, 2, 1, 2, 2, 0}, b[64:72], "shift and widths")
	require.Equal(t, uint64(baseMs)<<16, le.Uint64(b[72:]), "earliest time")
	require.Equal(t, uint64(24), le.Uint64(b[80:]), "first loc")
	require.Equal(t, uint32(100), le.Uint32(b[88:]), "least size")
	require.Equal(t, uint32(5), le.Uint32(b[104:]), "entries")
	first := b[64+48:]
	require.Zero(t, le.Uint32(first), "time of the first entry")
	require.Equal(t, uint16(2048-24), le.Uint16(first[6:]), "its loc")

	fences := b[64+48+5*row:]
	require.Equal(t, uint64(baseMs), le.Uint64(fences))
	require.Equal(t, crc32.Checksum(b[64:64+48+5*row], crc32.MakeTable(crc32.Castagnoli)), le.Uint32(fences[8:]))
	require.Equal(t, uint32(48+5*row), le.Uint32(fences[12:]))
	hour := binary.AppendUvarint(nil, uint64(baseMs/hourMs))
	require.Equal(t, append(hour, 1, 1, 3, 4, 1), fences[16:16+len(hour)+5], "hours: the first, the next, and that 4 hours later")
	require.Equal(t, "DuelEnd\n", string(b[len(b)-8:]))
}

// dirWithRun returns a directory that holds one run file.
func dirWithRun(t testing.TB, ri RunInfo, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, RunName(ri)), data, 0o644))
	return dir
}

// threeBlocks returns a run of 2.5 blocks over ten hours.
func threeBlocks(t testing.TB) (RunInfo, []byte) {
	t.Helper()
	x := openIndex(t, t.TempDir(), nil, 0)
	ri := addRun(t, x, makeEntries(5*blockEntries/2, 0, within(10)))
	data, err := os.ReadFile(x.set.Path(ri))
	require.NoError(t, err)
	return ri, data
}

// readAll opens the run in dir and reads every entry.
func readAll(dir string, ri RunInfo) ([]Entry, error) {
	x, err := Open(dir, []RunInfo{ri}, ri.End, nil)
	if err != nil {
		return nil, err
	}
	s := x.Snapshot()
	got, err := drain(s.Iter(0, MaxFireMs+1), 512)
	s.Release()
	return got, errors.Join(err, x.Close())
}

func TestEveryFlippedBitIsReported(t *testing.T) {
	ri, data := threeBlocks(t)
	dir := dirWithRun(t, ri, data)
	path := filepath.Join(dir, RunName(ri))
	entriesEnd := int(binary.LittleEndian.Uint64(data[len(data)-footerSize:]))
	for at := 0; at < len(data); {
		data[at] ^= 1 << (at % 8)
		require.NoError(t, os.WriteFile(path, data, 0o644))
		data[at] ^= 1 << (at % 8)
		_, err := readAll(dir, ri)
		requireDamage(t, err, path, int64(len(data)), "flip at %d", at)
		if at++; at > headerSize && at < entriesEnd-100 {
			at += 1013
		}
	}
}

func TestEveryTruncationIsReported(t *testing.T) {
	ri, data := threeBlocks(t)
	dir := dirWithRun(t, ri, data)
	path := filepath.Join(dir, RunName(ri))
	for size := len(data) - 1; size >= 0; {
		require.NoError(t, os.WriteFile(path, data[:size], 0o644))
		_, err := readAll(dir, ri)
		requireDamage(t, err, path, int64(len(data)), "cut to %d", size)
		if size--; size > headerSize+100 && size < len(data)-300 {
			size -= 997
		}
	}
}

// requireDamage checks that an error tells an operator and a program where the
// bad bytes are.
func requireDamage(t *testing.T, err error, path string, size int64, msg string, args ...any) {
	t.Helper()
	var corrupt *CorruptionError
	var version *VersionError
	switch {
	case errors.As(err, &corrupt):
		require.Equal(t, path, corrupt.Path)
		require.GreaterOrEqual(t, corrupt.Offset, int64(0))
		require.LessOrEqual(t, corrupt.Offset, size)
		require.NotZero(t, corrupt.Run.End)
	case errors.As(err, &version):
		require.Equal(t, path, version.Path)
	default:
		require.Failf(t, "untyped error", "%v: "+msg, append([]any{err}, args...)...)
	}
	require.ErrorContains(t, err, path)
}

func TestEachKindOfDamageHasItsError(t *testing.T) {
	ri, data := threeBlocks(t)
	foot := len(data) - footerSize
	fences := int(binary.LittleEndian.Uint64(data[foot:]))
	second, third := blockAt(data, 1), blockAt(data, 2)
	row := (third - second - blockHeaderSize) / blockEntries
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		want   error
		offset int64
	}{
		{"header magic", func(b []byte) []byte { b[0]++; return b }, ErrMagic, 0},
		{"version 0", func(b []byte) []byte { b[8] = 0; return reseal(b) }, ErrVersion, 8},
		{"bit of the version", func(b []byte) []byte { b[9] ^= 0x40; return b }, ErrChecksum, 0},
		{"header", func(b []byte) []byte { b[40]++; return b }, ErrChecksum, 0},
		{"other lane", func(b []byte) []byte { b[10]++; return reseal(b) }, ErrLayout, 0},
		{"other range", func(b []byte) []byte { b[24]++; return reseal(b) }, ErrLayout, 0},
		{"second block", func(b []byte) []byte { b[second+7]++; return b }, ErrChecksum, int64(second)},
		{"shift of a block", func(b []byte) []byte { b[second] = 3; return reseal(b) }, ErrLayout, int64(second)},
		{"width of a column", func(b []byte) []byte { b[second+3] = 5; return reseal(b) }, ErrLayout, int64(second)},
		{"sum of widths", func(b []byte) []byte { b[second+1]++; return reseal(b) }, ErrLayout, int64(second)},
		{"entries of a block", func(b []byte) []byte { b[second+40]++; return reseal(b) }, ErrLayout, int64(second)},
		{"entry before its predecessor", func(b []byte) []byte { clear(b[second+blockHeaderSize+10*row:][:4]); return reseal(b) }, ErrLayout, int64(second)},
		{"entry after its block", func(b []byte) []byte { b[second-row+4] = 0xff; return reseal(b) }, ErrLayout, headerSize},
		{"block before its time", func(b []byte) []byte { b[second+8+2]--; return reseal(b) }, ErrLayout, int64(second)},
		{"size of a block", func(b []byte) []byte { b[fences+12]++; return reseal(b) }, ErrLayout, int64(fences)},
		{"block table", func(b []byte) []byte { b[fences+3]++; return b }, ErrChecksum, int64(fences)},
		{"hours", func(b []byte) []byte { b[foot-1]++; return b }, ErrChecksum, int64(fences)},
		{"hours out of order", func(b []byte) []byte { b[foot-3] = 0; return reseal(b) }, ErrLayout, int64(fences)},
		{"hour without end", func(b []byte) []byte { b[foot-1] = 0x80; return reseal(b) }, ErrLayout, int64(fences)},
		{"entries of an hour", func(b []byte) []byte { b[foot-2]++; return reseal(b) }, ErrLayout, int64(fences)},
		{"hour without entries", func(b []byte) []byte { b[foot-1], b[foot-2] = 0, 0x80; return reseal(b) }, ErrLayout, int64(fences)},
		{"blocks out of order", func(b []byte) []byte { b[fences+tableEntry+5] = 0; return reseal(b) }, ErrLayout, int64(fences)},
		{"footer", func(b []byte) []byte { b[foot+40]++; return b }, ErrChecksum, int64(foot)},
		{"footer magic", func(b []byte) []byte { b[foot+60]++; return b }, ErrMagic, int64(foot)},
		{"blocks in footer", func(b []byte) []byte { b[foot+24]++; return reseal(b) }, ErrLayout, int64(foot)},
		{"hours in footer", func(b []byte) []byte { b[foot+31] = 0xff; return reseal(b) }, ErrLayout, int64(foot)},
		{"nothing", func([]byte) []byte { return nil }, ErrTruncated, 0},
		{"header only", func(b []byte) []byte { return b[:headerSize] }, ErrTruncated, headerSize},
		{"header and footer only", func(b []byte) []byte { return append(b[:headerSize:headerSize], b[foot:]...) }, ErrTruncated, 0},
		{"appended", func(b []byte) []byte { return append(b, b[foot:]...) }, ErrLayout, int64(len(data))},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readAll(dirWithRun(t, ri, c.change(append([]byte(nil), data...))), ri)
			var corrupt *CorruptionError
			require.ErrorAs(t, err, &corrupt)
			require.ErrorIs(t, corrupt.Err, c.want)
			require.Equal(t, c.offset, corrupt.Offset)
			require.Equal(t, ri, corrupt.Run)
		})
	}
}

func TestNewerVersionIsNotCorruption(t *testing.T) {
	ri, data := threeBlocks(t)
	data[8] = runVersion + 1
	_, err := readAll(dirWithRun(t, ri, reseal(data)), ri)
	var version *VersionError
	require.ErrorAs(t, err, &version)
	require.ErrorIs(t, err, ErrVersion)
	require.Equal(t, uint16(runVersion+1), version.Version)
	var corrupt *CorruptionError
	require.False(t, errors.As(err, &corrupt))
}

func TestMissingRunIsCorruption(t *testing.T) {
	ri := goldenInfo()
	_, err := readAll(t.TempDir(), ri)
	var corrupt *CorruptionError
	require.ErrorAs(t, err, &corrupt)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, ri, corrupt.Run)
}

func TestDamagedBlockSpoilsOnlyItself(t *testing.T) {
	ri, data := threeBlocks(t)
	data[blockAt(data, 2)]++ // the last block
	x := openIndex(t, dirWithRun(t, ri, data), []RunInfo{ri}, ri.End)
	s := x.Snapshot()
	defer s.Release()
	got, err := drain(s.Iter(0, MaxFireMs+1), 1000)
	require.ErrorIs(t, err, ErrChecksum)
	require.Len(t, got, 2*blockEntries, "the blocks before it are good")
	_, err = drain(s.Iter(0, baseMs+hourMs), 1000)
	require.NoError(t, err, "other times do not need it")
}

// tableEntry is the size of an entry of the block table.
const tableEntry = 16

// blockAt is where a block begins in the bytes of a good run.
func blockAt(b []byte, block int) int {
	table := b[binary.LittleEndian.Uint64(b[len(b)-footerSize:]):]
	at := headerSize
	for i := range block {
		at += int(binary.LittleEndian.Uint32(table[i*tableEntry+12:]))
	}
	return at
}

// reseal makes the checksums of a changed run true again, as far as its layout
// lets it find them.
func reseal(b []byte) []byte {
	if len(b) < minRunFileSize {
		return b
	}
	le := binary.LittleEndian
	foot := b[len(b)-footerSize:]
	count, fences := le.Uint64(b[32:]), le.Uint64(foot)
	if fences < uint64(len(b)-footerSize) && count <= uint64(len(b)) {
		resealBlocks(b, int(count), int(fences))
		le.PutUint32(foot[32:], runfile.Checksum(b[fences:len(b)-footerSize]))
	}
	le.PutUint32(b[headerCRCAt:], runfile.ChecksumExcept(b[:headerSize], headerCRCAt))
	le.PutUint32(foot[footerCRCAt:], runfile.ChecksumExcept(foot, footerCRCAt))
	return b
}

func resealBlocks(b []byte, count, fences int) {
	from := headerSize
	for at := fences; at < fences+int(blocksFor(int64(count)))*tableEntry && at+tableEntry <= len(b)-footerSize; at += tableEntry {
		to := from + int(binary.LittleEndian.Uint32(b[at+12:]))
		if to > len(b) {
			return
		}
		binary.LittleEndian.PutUint32(b[at+8:], runfile.Checksum(b[from:to]))
		from = to
	}
}
