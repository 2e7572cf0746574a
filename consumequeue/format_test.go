package consumequeue

import (
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func TestFormatHasTheDocumentedBytes(t *testing.T) {
	require.Equal(t, "444c4351"+"0100"+"2000"+"00000400"+"4e6823b4", hex.EncodeToString(appendFormat(nil, 256<<10)))
}

func TestSetKeepsItsEntriesPerFile(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 25)
	mustFlush(t, q)

	q, _ = openTest(t, dir, &Options{FileEntries: 100}, 0, 25)
	requireRead(t, q, 0, 25)
	require.Equal(t, []int64{0, 10, 20}, mustList(t, q))
}

func TestOpenTellsWhatIsWrongWithFORMAT(t *testing.T) {
	resum := func(b []byte) {
		binary.LittleEndian.PutUint32(b[12:], crc32.Checksum(b[:12], castagnoli))
	}
	cases := map[string]struct {
		hurt   func(b []byte) []byte
		want   error
		offset int64 // -1: not corruption
	}{
		"empty":       {func([]byte) []byte { return nil }, ErrTruncated, 0},
		"short":       {func(b []byte) []byte { return b[:15] }, ErrTruncated, 15},
		"magic":       {func(b []byte) []byte { b[0]++; return b }, ErrMagic, 0},
		"checksum":    {func(b []byte) []byte { b[9]++; return b }, ErrChecksum, 12},
		"version":     {func(b []byte) []byte { b[4]++; resum(b); return b }, ErrVersion, -1},
		"entry size":  {func(b []byte) []byte { b[6]++; resum(b); return b }, ErrVersion, -1},
		"no entries":  {func(b []byte) []byte { copy(b[8:12], make([]byte, 4)); resum(b); return b }, ErrChecksum, 8},
		"bit in vers": {func(b []byte) []byte { b[4]++; return b }, ErrChecksum, 12},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, formatName)
			require.NoError(t, os.WriteFile(path, c.hurt(appendFormat(nil, 100)), 0o644))
			_, err := Open(dir, nil)
			require.ErrorIs(t, err, c.want)
			var damage *CorruptionError
			if c.offset < 0 {
				require.NotErrorAs(t, err, &damage)
				return
			}
			require.ErrorAs(t, err, &damage)
			require.Equal(t, &CorruptionError{Path: path, Offset: c.offset, Err: c.want}, damage)
			require.Contains(t, err.Error(), path)
		})
	}
}

func TestOpenDoesNotGuessALostFORMAT(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 1)
	mustFlush(t, q)
	require.NoError(t, os.Remove(filepath.Join(dir, formatName)))
	_, err := Open(dir, nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
	var damage *CorruptionError
	require.ErrorAs(t, err, &damage)
}

func TestFixtureOfVersion1CanBeRead(t *testing.T) {
	dir := testutil.CopyDir(t, "testdata/v1")
	q, _ := openTest(t, dir, nil, 0, 20)
	requireRead(t, q, 0, 20)
	require.Equal(t, []int64{0, 16}, mustList(t, q))
}

func FuzzDecodeFormat(f *testing.F) {
	f.Add(appendFormat(nil, 256<<10))
	f.Add([]byte("DLCQ"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, _, err := decodeFormat(b)
		if err == nil {
			require.Positive(t, n)
		}
	})
}
