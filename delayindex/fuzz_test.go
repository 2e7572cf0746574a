package delayindex

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadRun opens any bytes as a run and, when that succeeds, reads it. With
// seal the checksums are made true first, so that the checks behind them are
// reached.
func FuzzReadRun(f *testing.F) {
	golden, err := os.ReadFile(goldenFile)
	require.NoError(f, err)
	old, err := os.ReadFile(goldenOld)
	require.NoError(f, err)
	_, blocks := threeBlocks(f)
	for _, seal := range []bool{false, true} {
		f.Add(golden, seal, baseMs, baseMs+1000)
		f.Add(old, seal, baseMs, baseMs+1000)
		f.Add(blocks, seal, baseMs+hourMs, baseMs+2*hourMs)
		f.Add(golden[:len(golden)-1], seal, int64(0), int64(MaxFireMs))
		f.Add([]byte(nil), seal, int64(0), int64(0))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, seal bool, from, to int64) {
		if seal {
			data = reseal(append([]byte(nil), data...))
		}
		ri := claimedInfo(data)
		path := filepath.Join(dir, RunName(ri))
		require.NoError(t, os.WriteFile(path, data, 0o644))
		defer os.Remove(path)
		readAnyRun(t, dir, ri, from, to)
	})
}

// claimedInfo is what a run says about itself; the name stays a valid one.
func claimedInfo(data []byte) RunInfo {
	var h header
	if len(data) >= headerSize {
		_ = h.decode(data) // a bad checksum leaves it empty
	}
	return h.RunInfo
}

func readAnyRun(t *testing.T, dir string, ri RunInfo, from, to int64) {
	r, err := openRun(dir, 0, ri)
	if err != nil {
		requireTyped(t, err)
		return
	}
	defer func() { require.NoError(t, r.f.Release()) }()
	fromMs, toMs := clampRange(from, to)
	if fromMs >= toMs {
		return
	}
	require.GreaterOrEqual(t, r.count(fromMs, toMs), int64(0))
	got, err := drain(&runIterator{run: r, from: fromMs, to: toMs}, 300)
	if err != nil {
		requireTyped(t, err)
	}
	require.LessOrEqual(t, int64(len(got)), ri.Count)
}

func requireTyped(t *testing.T, err error) {
	var corrupt *CorruptionError
	var version *VersionError
	require.True(t, errors.As(err, &corrupt) || errors.As(err, &version), "%v", err)
}

// FuzzBlock checks that entries with any fields come back as they were, and that
// one alone is found behind the others.
func FuzzBlock(f *testing.F) {
	f.Add(make([]byte, EntrySize))
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 24), ^uint64(0)))
	f.Add(bytes.Repeat([]byte{0xff, 0, 7}, 100))
	f.Fuzz(func(t *testing.T, b []byte) {
		var want []Entry
		le := binary.LittleEndian
		for ; len(b) >= EntrySize && len(want) < blockEntries; b = b[EntrySize:] {
			want = append(want, Entry{
				When: le.Uint64(b), Loc: le.Uint64(b[8:]), Size: le.Uint32(b[16:]),
				Queue: le.Uint32(b[20:]), Tag: le.Uint32(b[24:]), Key: le.Uint32(b[28:]),
			})
		}
		if len(want) == 0 {
			return
		}
		slices.SortStableFunc(want, byFire)
		var buf blockBuffer
		raw := encodeBlock(&buf, want)
		var l layout
		n, err := l.decode(raw)
		require.NoError(t, err)
		require.Equal(t, len(want), n)
		require.Len(t, raw, blockHeaderSize+n*l.rowSize())
		got := make([]Entry, n)
		blk := newBlock(l, buf[blockHeaderSize:len(raw)+rowSlack], n)
		blk.decodeTo(got, 0)
		require.Equal(t, want, got)
		blk.decodeTo(got[:1], n-1)
		require.Equal(t, want[n-1], got[0])
		require.Equal(t, want[n-1].fire(), blk.fire(n-1))
	})
}

// FuzzBlockHeader checks that no header makes the reading of a block panic.
func FuzzBlockHeader(f *testing.F) {
	var buf blockBuffer
	f.Add(append([]byte(nil), encodeBlock(&buf, goldenEntries())...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > maxBlockBytes {
			return
		}
		var l layout
		if len(raw) < blockHeaderSize {
			return
		}
		n, err := l.decode(raw)
		if err != nil || n < 1 || n > blockEntries || len(raw) != blockHeaderSize+n*l.rowSize() {
			return
		}
		b := newBlock(l, append(raw[blockHeaderSize:], make([]byte, rowSlack)...), n)
		b.decodeTo(make([]Entry, n), 0)
		_ = b.fire(n - 1)
	})
}
