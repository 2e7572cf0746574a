package cold

import (
	"bytes"
	"errors"
	"flag"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/runfile"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var goldenFile = filepath.Join("testdata", "version-1.cold")

// goldenRecords do not compress, so that the bytes do not depend on how well the
// compressor does.
func goldenRecords() []kept {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := func(i int64, n int) kept {
		return kept{Record: commitlog.Record{
			When: startMs + i, Flags: commitlog.FlagScheduled, Queue: 1, Tag: 0xaaaa, Key: 0xbbbb, Payload: randomBody(rnd, n),
		}}
	}
	return []kept{r(0, 500), r(5, 700), r(5, 0), r(7, 300)}
}

const goldenSize = 4*24 + 500 + 700 + 300

func TestBytesAreGolden(t *testing.T) {
	dir := t.TempDir()
	info := write(t, openSet(t, dir), testBase, goldenRecords())
	got, err := os.ReadFile(filePath(dir, info))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(goldenFile, got, 0o644))
	}
	want, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func goldenInfo() Info {
	return Info{Base: testBase, Size: goldenSize, FileSize: 64 + 40 + goldenSize + 24 + 64, Records: 4, MinFireMs: startMs, MaxFireMs: startMs + 7}
}

func TestKeptFileOfVersion1IsReadable(t *testing.T) {
	data, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	s := openSet(t, dirWith(t, goldenInfo(), data), goldenInfo())
	recs := goldenRecords()
	placeFrom(recs, testBase)
	requireReadable(t, s, recs)
}

// voidFile is the golden records with 100 bytes void before the third of them.
var voidFile = filepath.Join("testdata", "version-1-void.cold")

func TestWhatFollowsAVoidPartKeepsItsPlace(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	w, err := s.Create(testBase, startMs)
	require.NoError(t, err)
	recs := goldenRecords()
	for i := range recs {
		if i == 2 {
			require.NoError(t, w.Skip(100))
		}
		recs[i].off, err = w.Append(&recs[i].Record)
		require.NoError(t, err)
	}
	require.EqualValues(t, goldenSize+100, w.Size())
	info, err := w.Finish()
	require.NoError(t, err)
	got, err := os.ReadFile(filePath(dir, info))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(voidFile, got, 0o644))
	}
	want, err := os.ReadFile(voidFile)
	require.NoError(t, err)
	require.Equal(t, want, got)

	for _, change := range []int64{0, info.FileSize - 10} { // with its table, and without
		data := bytes.Clone(want)
		data[change] ^= byte(change)
		s := openSet(t, dirWith(t, info, data), info)
		requireReadable(t, s, recs)
		hole := recs[1].off + int64(len(recs[1].Payload))
		for off := hole; off < hole+100; off += 33 {
			_, err := s.View(off, 10)
			require.ErrorIs(t, err, commitlog.ErrNotFound)
		}
		n := 0
		for _, err := range s.Records(testBase) {
			require.NoError(t, err)
			n++
		}
		require.Len(t, recs, n)
	}
}

func TestALongVoidPartIsSeveralBlocks(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	w, err := s.Create(testBase, startMs)
	require.NoError(t, err)
	skipped := int64(2*maxBlock + 1)
	require.NoError(t, w.Skip(skipped))
	recs := goldenRecords()
	recs[0].off, err = w.Append(&recs[0].Record)
	require.NoError(t, err)
	require.Equal(t, testBase+skipped+24, recs[0].off)
	require.ErrorIs(t, w.Skip(testSegment), commitlog.ErrTooLarge)
	info, err := w.Finish()
	require.NoError(t, err)
	requireReadable(t, openSet(t, dir, info), recs[:1])
}

// TestRemainsOfADamagedBlock expands a block whose header is damaged, and one whose
// bytes are: what does not depend on the damage is there.
func TestRemainsOfADamagedBlock(t *testing.T) {
	data, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	info := goldenInfo()
	for _, at := range []int{headerSize + 24, headerSize + blockHeaderSize + 700} {
		bad := bytes.Clone(data)
		bad[at] ^= 1
		r, err := OpenFile(filePath(dirWith(t, info, bad), info), testLane, &info)
		require.NoError(t, err)
		_, err = r.View(testBase+24, 500)
		require.True(t, isDamage(err), err)
		require.Equal(t, bad[headerSize+blockHeaderSize:][:goldenSize], r.Remains(testBase+24))
		require.Nil(t, r.Remains(testBase+goldenSize))
		require.NoError(t, r.Close())
	}
}

// placeFrom says where records are that follow each other from off on.
func placeFrom(recs []kept, off int64) {
	for i := range recs {
		recs[i].off = off + 24
		off += 24 + int64(len(recs[i].Payload))
	}
}

// TestKeptCompressedFileIsReadable reads what the compressor of the first release wrote.
func TestKeptCompressedFileIsReadable(t *testing.T) {
	path := filepath.Join("testdata", "version-1-zstd.cold")
	recs := records(4, func(_ *rand.Rand, i int) []byte { return bytes.Repeat([]byte("compressible "), 10+i) })
	if *update {
		dir := t.TempDir()
		data, err := os.ReadFile(filePath(dir, write(t, openSet(t, dir), testBase, recs)))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, data, 0o644))
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	placeFrom(recs, testBase)
	size := recs[3].off + int64(len(recs[3].Payload)) - testBase
	info := Info{Base: testBase, Size: size, FileSize: int64(len(data)), Records: 4, MinFireMs: startMs, MaxFireMs: recs[3].When}
	require.Less(t, info.FileSize, info.Size)
	s, err := Open(dirWith(t, info, data), []Info{info}, Options{Lane: testLane, SegmentSize: testSegment})
	require.NoError(t, err)
	requireReadable(t, s, recs)
	require.NoError(t, s.Close())
}

func TestLayoutIsAsDocumented(t *testing.T) {
	b, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	require.Len(t, b, 64+40+goldenSize+24+64)
	require.Equal(t, "DuelCold", string(b[:8]))
	require.EqualValues(t, 1, le.Uint16(b[8:]))
	require.EqualValues(t, testLane, b[10])
	require.EqualValues(t, testBase, le.Uint64(b[16:]))
	require.Equal(t, "DCB\x01", string(b[64:68]))
	require.Equal(t, crc32.Checksum(b[72:64+40+goldenSize], crc32.MakeTable(crc32.Castagnoli)), le.Uint32(b[68:]))
	require.EqualValues(t, goldenSize, le.Uint32(b[72:]), "stored")
	require.EqualValues(t, goldenSize, le.Uint32(b[76:]), "uncompressed")
	require.EqualValues(t, 4, le.Uint32(b[88:]), "records")
	require.EqualValues(t, startMs+7, le.Uint64(b[96:]))
	require.EqualValues(t, 500, le.Uint32(b[64+40:]), "first record")
	table := b[64+40+goldenSize:]
	require.EqualValues(t, 64, le.Uint64(table))
	require.EqualValues(t, 0, le.Uint64(table[8:]))
	require.EqualValues(t, startMs+7, le.Uint64(table[16:]))
	require.EqualValues(t, 64+40+goldenSize, le.Uint64(b[len(b)-64:]))
	require.Equal(t, "DuelCEnd", string(b[len(b)-8:]))
}

func dirWith(t testing.TB, info Info, data []byte) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filePath(dir, info), data, 0o644))
	return dir
}

// damaged writes a file of several blocks, lets change damage it and opens it.
func damaged(t *testing.T, change func(b []byte, blocks []block) []byte) (*Set, []kept, []block) {
	t.Helper()
	dir := t.TempDir()
	s := openSet(t, dir)
	recs := jsonRecords(700)
	info := write(t, s, testBase, recs)
	blocks := s.files[testBase].blocks
	require.Greater(t, len(blocks), 4)
	data, err := os.ReadFile(filePath(dir, info))
	require.NoError(t, err)
	return openSet(t, dirWith(t, info, change(bytes.Clone(data), blocks)), info), recs, blocks
}

// requireLost checks that exactly the records of the given blocks cannot be
// read, and that the error says where the damage is.
func requireLost(t *testing.T, s *Set, recs []kept, blocks []block, lost ...int) {
	t.Helper()
	inLost := func(off int64) bool {
		for _, i := range lost {
			if pos := off - testBase; pos >= int64(blocks[i].pos) && pos < int64(blocks[i].pos+blocks[i].size) {
				return true
			}
		}
		return false
	}
	for i := range recs {
		b, err := s.View(recs[i].off, int32(len(recs[i].Payload)))
		if inLost(recs[i].off) {
			var bad *commitlog.CorruptionError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, filePath(s.dir, Info{Base: testBase}), bad.Path)
			continue
		}
		require.NoError(t, err, "record %d", i)
		require.Equal(t, string(recs[i].Payload), string(b))
	}
	read := 0
	for _, err := range s.Records(testBase) {
		if err == nil {
			read++
		}
	}
	want := 0
	for i := range recs {
		if !inLost(recs[i].off) {
			want++
		}
	}
	require.Equal(t, want, read)
}

func TestDamagedBlockCostsItsOwnRecords(t *testing.T) {
	for name, at := range map[string]uint32{"magic": 0, "checksum": 5, "stored bytes": 9, "position": 17, "codec": 28, "body": 100} {
		t.Run(name, func(t *testing.T) {
			s, recs, blocks := damaged(t, func(b []byte, blocks []block) []byte {
				b[blocks[2].at+at] ^= 0x10
				return b
			})
			requireLost(t, s, recs, blocks, 2)
		})
	}
}

func TestDamagedTableFooterOrHeaderCostsNothing(t *testing.T) {
	for name, at := range map[string]int{"header magic": 3, "header": 20, "table": -64 - 50, "footer": -40, "footer magic": -1} {
		t.Run(name, func(t *testing.T) {
			s, recs, blocks := damaged(t, func(b []byte, _ []block) []byte {
				if at < 0 {
					at += len(b)
				}
				b[at] ^= 0x10
				return b
			})
			requireLost(t, s, recs, blocks)
		})
	}
}

func TestDamagedTableAndBlockCostThatBlock(t *testing.T) {
	s, recs, blocks := damaged(t, func(b []byte, blocks []block) []byte {
		b[len(b)-100] ^= 1
		b[blocks[1].at+8] ^= 0xff // its length
		b[blocks[3].at] ^= 1
		return b
	})
	requireLost(t, s, recs, blocks, 1, 3)
}

func TestTruncatedFileCostsWhatWasCutOff(t *testing.T) {
	s, recs, blocks := damaged(t, func(b []byte, blocks []block) []byte {
		return b[:blocks[len(blocks)-1].at+10]
	})
	requireLost(t, s, recs, blocks, len(blocks)-1)

	s, recs, blocks = damaged(t, func([]byte, []block) []byte { return nil })
	all := make([]int, len(blocks))
	for i := range all {
		all[i] = i
	}
	requireLost(t, s, recs, blocks, all...)
}

func TestMissingFileIsReportedWhenItIsRead(t *testing.T) {
	info := goldenInfo()
	s := openSet(t, t.TempDir(), info)
	_, err := s.View(testBase+24, 5)
	require.ErrorIs(t, err, fs.ErrNotExist)
	var bad *commitlog.CorruptionError
	require.ErrorAs(t, err, &bad)
	require.NoError(t, s.Release([]Info{{Base: testBase, Size: info.Size, DeadTo: info.Size}}))
	_, err = s.View(testBase+24, 5)
	require.ErrorIs(t, err, commitlog.ErrNotFound)
}

func TestNewerVersionIsNotDamage(t *testing.T) {
	data, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	data[8] = version + 1
	le.PutUint32(data[headerCRCAt:], runfile.ChecksumExcept(data[:headerSize], headerCRCAt))
	_, err = Open(dirWith(t, goldenInfo(), data), []Info{goldenInfo()}, Options{Lane: testLane, SegmentSize: testSegment})
	var newer *VersionError
	require.ErrorAs(t, err, &newer)
	require.ErrorIs(t, err, ErrVersion)
	require.EqualValues(t, version+1, newer.Version)
	require.False(t, isDamage(err))
}

func TestEachKindOfDamageHasItsError(t *testing.T) {
	data, err := os.ReadFile(goldenFile)
	require.NoError(t, err)
	foot := len(data) - footerSize
	for _, c := range []struct {
		name   string
		change func(b []byte) []byte
		want   error
		offset int64
	}{
		{"header magic", func(b []byte) []byte { b[0]++; return b }, ErrMagic, 0},
		{"header", func(b []byte) []byte { b[40]++; return b }, ErrChecksum, 0},
		{"version 0", func(b []byte) []byte { b[8] = 0; return reseal(b) }, ErrVersion, 0},
		{"other lane", func(b []byte) []byte { b[10]++; return reseal(b) }, ErrLayout, 0},
		{"other base", func(b []byte) []byte { b[16]++; return reseal(b) }, ErrLayout, 0},
		{"table", func(b []byte) []byte { b[foot-1]++; return b }, ErrChecksum, int64(foot - tableEntrySize)},
		{"table order", func(b []byte) []byte { b[foot-16]++; return reseal(b) }, ErrLayout, int64(foot - tableEntrySize)},
		{"footer", func(b []byte) []byte { b[foot+30]++; return b }, ErrChecksum, int64(foot)},
		{"footer magic", func(b []byte) []byte { b[foot+56]++; return b }, ErrMagic, int64(foot)},
		{"other size", func(b []byte) []byte { b[foot+8]++; return reseal(b) }, ErrLayout, int64(foot)},
		{"more blocks than fit", func(b []byte) []byte { b[foot+27] = 0xff; return reseal(b) }, ErrLayout, int64(foot)},
		{"nothing", func([]byte) []byte { return nil }, ErrTruncated, 0},
		{"half", func(b []byte) []byte { return b[:100] }, ErrTruncated, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reports []error
			dir := dirWith(t, goldenInfo(), c.change(bytes.Clone(data)))
			x, err := openFile(filePath(dir, goldenInfo()), testLane, goldenInfo(), func(err error) { reports = append(reports, err) })
			require.NoError(t, err)
			defer func() { require.NoError(t, x.close()) }()
			require.NotEmpty(t, reports)
			var bad *commitlog.CorruptionError
			require.ErrorAs(t, errors.Join(reports...), &bad)
			found := false
			for _, r := range reports {
				found = found || errors.Is(r, c.want) && errors.As(r, &bad) && bad.Offset == c.offset
			}
			require.True(t, found, "%v", reports)
		})
	}
}

// reseal makes the checksums of a changed file true again, as far as its layout
// lets it find them.
func reseal(b []byte) []byte {
	if len(b) < headerSize+footerSize {
		return b
	}
	foot := b[len(b)-footerSize:]
	if at := le.Uint64(foot); at < uint64(len(b)-footerSize) {
		le.PutUint32(foot[28:], crc32.Checksum(b[at:len(b)-footerSize], crc32.MakeTable(crc32.Castagnoli)))
	}
	for at := headerSize; at+blockHeaderSize <= len(b); at++ {
		if h, err := decodeBlockHeader(b[at:]); err == nil && at+blockHeaderSize+int(h.stored) <= len(b) {
			le.PutUint32(b[at+4:], crc32.Checksum(b[at+8:at+blockHeaderSize+int(h.stored)], crc32.MakeTable(crc32.Castagnoli)))
		}
	}
	le.PutUint32(b[headerCRCAt:], runfile.ChecksumExcept(b[:headerSize], headerCRCAt))
	le.PutUint32(foot[footerCRCAt:], runfile.ChecksumExcept(foot, footerCRCAt))
	return b
}

// FuzzReadFile opens any bytes as a registered file and reads all it finds. With
// seal the checksums are made true first, so that the checks behind them are
// reached.
func FuzzReadFile(f *testing.F) {
	golden, err := os.ReadFile(goldenFile)
	require.NoError(f, err)
	dir := f.TempDir()
	s := openSet(f, dir)
	info := write(f, s, testBase, jsonRecords(200))
	blocks, err := os.ReadFile(filePath(dir, info))
	require.NoError(f, err)
	void, err := os.ReadFile(voidFile)
	require.NoError(f, err)
	for _, seal := range []bool{false, true} {
		f.Add(golden, seal, int64(24))
		f.Add(blocks, seal, int64(100_000))
		f.Add(void, seal, int64(24+500+24+700+50))
		f.Add(golden[:len(golden)-1], seal, int64(0))
		f.Add([]byte(nil), seal, int64(0))
	}
	fuzzDir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, seal bool, pos int64) {
		if seal {
			data = reseal(bytes.Clone(data))
		}
		info := claimedInfo(data)
		require.NoError(t, os.WriteFile(filePath(fuzzDir, info), data, 0o644))
		s, err := Open(fuzzDir, []Info{info}, Options{Lane: testLane, SegmentSize: testSegment})
		if err != nil {
			require.ErrorIs(t, err, ErrVersion)
			return
		}
		defer s.Close()
		for _, err := range s.Records(testBase) {
			require.True(t, err == nil || isDamage(err), "%v", err)
		}
		_, _ = s.View(testBase+pos%testSegment, int32(pos))
		_ = s.Dying(startMs)
		s.KeepFor(testBase+pos%testSegment, startMs)
	})
}

// claimedInfo is what a file says about itself.
func claimedInfo(b []byte) Info {
	info := goldenInfo()
	if len(b) < headerSize+footerSize {
		return info
	}
	if f, err := decodeFooter(b[len(b)-footerSize:]); err == nil && f.size > 0 && f.size <= testSegment {
		info.Size, info.Records, info.MinFireMs, info.MaxFireMs = f.size, f.records, f.minFireMs, f.maxFireMs
	}
	return info
}
