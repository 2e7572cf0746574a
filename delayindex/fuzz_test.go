package delayindex

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadRun opens any bytes as a run and, when that succeeds, reads it. With
// seal the checksums are made true first, so that the checks behind them are
// reached.
func FuzzReadRun(f *testing.F) {
	golden, err := os.ReadFile(goldenFile)
	require.NoError(f, err)
	_, blocks := threeBlocks(f)
	for _, seal := range []bool{false, true} {
		f.Add(golden, seal, baseMs, baseMs+1000)
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
		path := filepath.Join(dir, runName(ri.Start, ri.End))
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

// FuzzEntry checks that any 32 bytes are an entry that is written back as it was.
func FuzzEntry(f *testing.F) {
	f.Add(make([]byte, EntrySize))
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 24), ^uint64(0)))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < EntrySize {
			return
		}
		var e Entry
		decodeEntry(&e, b)
		out := make([]byte, EntrySize)
		putEntry(out, &e)
		require.Equal(t, b[:EntrySize], out)
		require.Equal(t, e.When, MakeWhen(e.FireMs(), e.Flags()))
	})
}
