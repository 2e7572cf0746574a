package store

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

func mustManifest(t require.TestingT, path string) (*manifest, [][]byte) {
	m, payloads, err := openManifest(path)
	require.NoError(t, err)
	return m, payloads
}

// threeAppends makes a manifest with appends of 1, 3 and 1 records and returns
// its bytes and where each append ends.
func threeAppends(t testing.TB) (path string, b []byte, ends []int) {
	path = filepath.Join(t.TempDir(), "MANIFEST")
	m, payloads := mustManifest(t, path)
	require.Empty(t, payloads)
	ends = append(ends, int(m.size()))
	for _, batch := range [][][]byte{{[]byte("first")}, {[]byte("a"), nil, []byte("ccc")}, {[]byte("last one")}} {
		require.NoError(t, m.append(batch...))
		ends = append(ends, int(m.size()))
	}
	require.NoError(t, m.close())
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, b, ends[3])
	return path, b, ends
}

// vouched is the file b whose header says that n appends are durable.
func vouched(b []byte, n int) []byte {
	return append(appendManifestHeader(nil, uint64(n)), b[min(len(b), manifestHeaderSize):]...)
}

// payloadsOf says what threeAppends has after n appends.
func payloadsOf(n int) []string {
	return [][]string{{}, {"first"}, {"first", "a", "", "ccc"}, {"first", "a", "", "ccc", "last one"}}[n]
}

func asStrings(payloads [][]byte) []string {
	out := []string{}
	for _, p := range payloads {
		out = append(out, string(p))
	}
	return out
}

func TestManifestHasTheDocumentedBytes(t *testing.T) {
	_, b, ends := threeAppends(t)
	require.Equal(t, "444c4d46"+"01000000"+"03000000"+"d1d4e359", hex.EncodeToString(b[:16]))
	require.Equal(t, "05000000"+"9f584ba7"+"0000010000000000"+hex.EncodeToString([]byte("first")), hex.EncodeToString(b[16:ends[1]]))
	require.Equal(t, "0200020000000000", hex.EncodeToString(b[ends[1]+8:ends[1]+16]), "append 2, two records follow")
}

func TestManifestFixtureOfVersion1CanBeRead(t *testing.T) {
	path := filepath.Join(testutil.CopyDir(t, "testdata/manifest-v1"), "MANIFEST")
	m, payloads := mustManifest(t, path)
	require.Equal(t, payloadsOf(3), asStrings(payloads))
	require.NoError(t, m.close())
}

func TestManifestGivesBackWhatWasAppended(t *testing.T) {
	path, _, ends := threeAppends(t)
	m, payloads := mustManifest(t, path)
	require.Equal(t, payloadsOf(3), asStrings(payloads))
	require.Equal(t, int64(ends[3]), m.size())
	require.NoError(t, m.append())
	require.NoError(t, m.append([]byte("more")))
	require.NoError(t, m.close())
	require.NoError(t, m.close())
	require.ErrorIs(t, m.append([]byte("late")), ErrClosed)
	require.ErrorIs(t, m.rewrite(nil), ErrClosed)

	m, payloads = mustManifest(t, path)
	require.Equal(t, append(payloadsOf(3), "more"), asStrings(payloads))
	require.Zero(t, m.dropped)
	require.NoError(t, m.close())
}

func TestManifestDropsATornAppendAsAWhole(t *testing.T) {
	path, b, ends := threeAppends(t)
	for cut := ends[0]; cut < len(b); cut++ {
		complete := 0
		for complete < 3 && ends[complete+1] <= cut {
			complete++
		}
		require.NoError(t, os.WriteFile(path, vouched(b[:cut], complete), 0o644))
		m, payloads := mustManifest(t, path)
		require.Equal(t, payloadsOf(complete), asStrings(payloads), "cut at %d", cut)
		require.Equal(t, int64(cut-ends[complete]), m.dropped)

		require.NoError(t, m.append([]byte("next"), []byte("life")))
		require.NoError(t, m.close())
		m, payloads = mustManifest(t, path)
		require.Equal(t, append(payloadsOf(complete), "next", "life"), asStrings(payloads), "cut at %d", cut)
		require.NoError(t, m.close())
	}
}

// A power loss may keep later sectors of the last write and lose earlier ones.
func TestManifestDropsAnAppendTornInTheMiddle(t *testing.T) {
	path, b, ends := threeAppends(t)
	b = vouched(b[:ends[2]], 1)
	for from := ends[1]; from < ends[2]; from++ {
		hurt := bytes.Clone(b)
		hurt[from] ^= 0xff
		require.NoError(t, os.WriteFile(path, hurt, 0o644))
		m, payloads := mustManifest(t, path)
		require.Equal(t, payloadsOf(1), asStrings(payloads), "byte %d", from)
		require.NoError(t, m.close())
		st, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, int64(ends[1]), st.Size())
	}
}

func TestManifestDropsTrailingZeroes(t *testing.T) {
	path, b, _ := threeAppends(t)
	require.NoError(t, os.WriteFile(path, append(b, make([]byte, 4096)...), 0o644))
	m, payloads := mustManifest(t, path)
	require.Equal(t, payloadsOf(3), asStrings(payloads))
	require.Equal(t, int64(4096), m.dropped)
	require.NoError(t, m.close())
}

func TestManifestDamageBeforeTheLastAppendIsAnError(t *testing.T) {
	path, b, ends := threeAppends(t)
	for off := ends[0]; off < ends[2]; off++ {
		hurt := bytes.Clone(b)
		hurt[off] ^= 0xff
		require.NoError(t, os.WriteFile(path, hurt, 0o644))
		_, _, err := openManifest(path)
		var damage *commitlog.CorruptionError
		require.ErrorAs(t, err, &damage, "byte %d", off)
		require.Equal(t, path, damage.Path)
		require.LessOrEqual(t, damage.Offset, int64(off))
		require.Less(t, int64(off)-damage.Offset, int64(manifestRecordHeader+8), "the offset is that of the record")
		require.ErrorContains(t, err, "restore the data directory")
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, hurt, left, "the file is not touched")
	}
}

// What the header vouches for was durable: a crash cannot have taken it.
func TestManifestDamageToTheLastAppendIsAnError(t *testing.T) {
	path, b, ends := threeAppends(t)
	requireDamage := func(hurt []byte, msg string, args ...any) {
		require.NoError(t, os.WriteFile(path, hurt, 0o644))
		_, _, err := openManifest(path)
		var damage *commitlog.CorruptionError
		require.ErrorAs(t, err, &damage, append([]any{msg}, args...)...)
		require.EqualValues(t, ends[2], damage.Offset)
		left, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, hurt, left, "the file is not touched")
	}
	for off := ends[2]; off < len(b); off++ {
		hurt := bytes.Clone(b)
		hurt[off] ^= 0xff
		requireDamage(hurt, "byte %d", off)
		requireDamage(b[:off], "cut at %d", off)
	}
}

// A rewrite vouches for all of itself, and an opening for what it made durable.
func TestManifestHeaderVouchesForWhatIsDurable(t *testing.T) {
	path, b, _ := threeAppends(t)
	require.NoError(t, os.WriteFile(path, vouched(b, 0), 0o644))
	m, _ := mustManifest(t, path)
	header := func() []byte {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return b[:manifestHeaderSize]
	}
	require.Equal(t, appendManifestHeader(nil, 3), header())
	require.NoError(t, m.rewrite([][]byte{[]byte("snap")}))
	require.Equal(t, appendManifestHeader(nil, 1), header())
	require.NoError(t, m.append([]byte("after")))
	require.Equal(t, appendManifestHeader(nil, 2), header())
	require.NoError(t, m.close())
}

func TestManifestRecordOutOfSequenceIsAnError(t *testing.T) {
	path, b, ends := threeAppends(t)
	cases := map[string][]byte{
		"append missing":  append(bytes.Clone(b[:ends[1]]), b[ends[2]:]...),
		"append repeated": append(bytes.Clone(b[:ends[2]]), b[ends[1]:]...),
		"record missing":  append(bytes.Clone(b[:ends[1]+17]), b[ends[1]+17+16:]...),
	}
	for name, hurt := range cases {
		require.NoError(t, os.WriteFile(path, hurt, 0o644))
		_, _, err := openManifest(path)
		require.ErrorIs(t, err, errManifestSequence, name)
		var damage *commitlog.CorruptionError
		require.ErrorAs(t, err, &damage, name)
	}
}

func TestManifestHeaderErrorsAreDistinct(t *testing.T) {
	newer := appendManifestHeader(nil, 0)
	newer[4]++
	binary.LittleEndian.PutUint32(newer[12:], crc32.Checksum(newer[:12], castagnoli))
	flipped := appendManifestHeader(nil, 0)
	flipped[4]++
	cases := map[string]struct {
		b       []byte
		want    error
		damaged bool
	}{
		"empty":             {nil, commitlog.ErrTruncated, true},
		"short":             {appendManifestHeader(nil, 0)[:15], commitlog.ErrTruncated, true},
		"other file":        {bytes.Repeat([]byte("x"), 100), commitlog.ErrMagic, true},
		"damaged version":   {flipped, commitlog.ErrChecksum, true},
		"newer version":     {newer, commitlog.ErrVersion, false},
		"newer and content": {append(newer, "whatever"...), commitlog.ErrVersion, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "MANIFEST")
			require.NoError(t, os.WriteFile(path, c.b, 0o644))
			_, _, err := openManifest(path)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, path)
			var damage *commitlog.CorruptionError
			require.Equal(t, c.damaged, errors.As(err, &damage))
		})
	}
}

func TestManifestRefusesAppendsAfterAFailedOne(t *testing.T) {
	path, _, _ := threeAppends(t)
	m, _ := mustManifest(t, path)
	require.NoError(t, m.file.Close()) // every write fails from here on
	err := m.append([]byte("x"))
	require.ErrorIs(t, err, os.ErrClosed)
	require.NotErrorIs(t, err, ErrReadOnly)
	require.ErrorIs(t, m.append([]byte("x")), ErrReadOnly)
	require.ErrorIs(t, m.rewrite(nil), ErrReadOnly)

	m, payloads := mustManifest(t, path)
	require.Equal(t, payloadsOf(3), asStrings(payloads))
	require.NoError(t, m.append([]byte("x")))
	require.NoError(t, m.close())
}

func TestManifestOnAFullDiskLosesNothing(t *testing.T) {
	path := filepath.Join(testutil.Tmpfs(t, 64<<10), "MANIFEST")
	m, _ := mustManifest(t, path)
	filler := filepath.Join(filepath.Dir(path), "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 16<<10), 0o644))
	big := make([]byte, 10<<10)
	require.NoError(t, m.append([]byte("kept")))
	require.ErrorIs(t, m.rewrite([][]byte{make([]byte, 128<<10)}), syscall.ENOSPC)
	require.NoError(t, m.append(big), "a failed rewrite leaves the old file in force")
	var err error
	for err == nil {
		err = m.append(big)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, os.Remove(filler))
	require.NoError(t, m.append(big), "space came back")
	written := m.size()
	require.NoError(t, m.close())

	m, payloads := mustManifest(t, path)
	require.Equal(t, written, m.size())
	require.Equal(t, "kept", string(payloads[0]))
	require.NoError(t, m.close())
}

func TestManifestRefusesWhatItCouldNotRead(t *testing.T) {
	m, _ := mustManifest(t, filepath.Join(t.TempDir(), "MANIFEST"))
	huge := make([]byte, maxManifestPayload+1)
	require.ErrorIs(t, m.append(huge), ErrTooLarge)
	require.ErrorIs(t, m.rewrite([][]byte{huge}), ErrTooLarge)
	require.ErrorIs(t, m.append(make([][]byte, maxManifestBatch+1)...), ErrTooLarge)
	require.NoError(t, m.append(make([][]byte, maxManifestBatch)...), "still in order")
	require.NoError(t, m.close())
	m, payloads := mustManifest(t, m.path)
	require.Len(t, payloads, maxManifestBatch)
	require.NoError(t, m.close())
}

func TestManifestRewriteReplacesEverything(t *testing.T) {
	path, _, _ := threeAppends(t)
	m, _ := mustManifest(t, path)
	snapshot := make([][]byte, maxManifestBatch+10) // more than one append can hold
	for i := range snapshot {
		snapshot[i] = fmt.Appendf(nil, "edit %d", i)
	}
	require.NoError(t, m.rewrite(snapshot))
	require.NoError(t, m.append([]byte("after")))
	size := m.size()
	require.NoError(t, m.close())
	require.NoFileExists(t, path+".tmp")

	m, payloads := mustManifest(t, path)
	require.Equal(t, size, m.size())
	require.Equal(t, append(snapshot, []byte("after")), payloads)
	require.NoError(t, m.rewrite(nil))
	require.Equal(t, int64(manifestHeaderSize), m.size())
	require.NoError(t, m.close())
}

func TestManifestIgnoresAnUnfinishedRewrite(t *testing.T) {
	path, _, _ := threeAppends(t)
	require.NoError(t, os.WriteFile(path+".tmp", []byte("half of a snapshot"), 0o644))
	m, payloads := mustManifest(t, path)
	require.Equal(t, payloadsOf(3), asStrings(payloads))
	require.NoError(t, m.rewrite([][]byte{[]byte("snap")}))
	require.NoError(t, m.close())
}

// Random appends and rewrites; each step may be cut short by a power loss that
// keeps any bytes of the last write.
func TestManifestKeepsWhatItAcknowledged(t *testing.T) {
	root := testutil.FastDir(t)
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "manifest")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "MANIFEST")
		m, _ := mustManifest(t, path)
		want := [][]byte{}
		payloads := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 4)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				batch := payloads.Draw(t, "batch")
				require.NoError(t, m.append(batch...))
				want = append(want, batch...)
			},
			"rewrite": func(t *rapid.T) {
				want = payloads.Draw(t, "snapshot")
				require.NoError(t, m.rewrite(want))
			},
			"power loss": func(t *rapid.T) {
				acked, number := m.size(), m.last
				require.NoError(t, m.append(payloads.Draw(t, "lost")...))
				require.NoError(t, m.close())
				tear(t, path, acked, rapid.Uint64Range(0, number).Draw(t, "vouched"))
				var got [][]byte
				m, got = mustManifest(t, path)
				require.Equal(t, asStrings(want), asStrings(got))
			},
		})
		require.NoError(t, m.close())
	})
}

// tear changes at least one byte of what follows acked, and leaves the header of
// append number.
func tear(t *rapid.T, path string, acked int64, number uint64) {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b = vouched(b, int(number))
	hit := int(acked) + rapid.IntRange(0, len(b)-int(acked)-1).Draw(t, "hit")
	other := b[hit] ^ byte(rapid.IntRange(1, 255).Draw(t, "xor"))
	clear(b[rapid.IntRange(int(acked), len(b)).Draw(t, "zeroed"):])
	b[hit] = other
	b = b[:rapid.OneOf(rapid.Just(len(b)), rapid.IntRange(int(acked), len(b))).Draw(t, "length")]
	require.NoError(t, os.WriteFile(path, b, 0o644))
}

func FuzzScanManifest(f *testing.F) {
	_, b, ends := threeAppends(f)
	f.Add(b, 0)
	f.Add(b[:len(b)-1], 0)
	f.Add(b[:ends[2]-3], 0)
	f.Add(append(bytes.Clone(b), make([]byte, 64)...), 3)
	f.Add(append(bytes.Clone(b[:ends[1]]), b[ends[2]:]...), 20)
	f.Add([]byte("DLMF"), 0)
	f.Fuzz(func(t *testing.T, b []byte, fix int) {
		requireSoundScan(t, b)
		requireSoundScan(t, resealed(b, fix))
	})
}

// resealed corrects the checksums of the header and of the record at off, so
// that the fuzzer gets past them.
func resealed(b []byte, off int) []byte {
	b = append(appendManifestHeader(nil, 0), b[min(len(b), manifestHeaderSize):]...)
	if off < manifestHeaderSize || off > len(b)-manifestRecordHeader {
		return b
	}
	rec := b[off:]
	n := int(min(binary.LittleEndian.Uint32(rec), uint32(len(rec)-manifestRecordHeader)))
	binary.LittleEndian.PutUint32(rec[4:], manifestChecksum(rec[:manifestRecordHeader+n]))
	return b
}

func requireSoundScan(t *testing.T, b []byte) {
	scan, err := scanManifest("MANIFEST", b)
	if err != nil && scan.end == 0 {
		require.Empty(t, scan.payloads)
		return // the header is bad
	}
	total := int64(manifestHeaderSize)
	for _, p := range scan.payloads {
		total += int64(manifestRecordHeader + len(p))
	}
	require.Equal(t, total, scan.end)
	again, errAgain := scanManifest("MANIFEST", b[:scan.end])
	if err == nil {
		require.NoError(t, errAgain)
	}
	require.Equal(t, scan, again, "what is kept can be read again")
}

func BenchmarkManifestAppend(b *testing.B) {
	m, _ := mustManifest(b, filepath.Join(b.TempDir(), "MANIFEST"))
	payload := make([]byte, 100)
	b.SetBytes(int64(len(payload)))
	for b.Loop() {
		require.NoError(b, m.append(payload))
	}
	require.NoError(b, m.close())
}

func BenchmarkManifestScan(b *testing.B) {
	file := appendManifestHeader(nil, 0)
	for number := uint64(1); len(file) < 4<<20; number++ {
		file = appendManifestBatch(file, number, [][]byte{make([]byte, 100)})
	}
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		_, err := scanManifest("MANIFEST", file)
		require.NoError(b, err)
	}
}
