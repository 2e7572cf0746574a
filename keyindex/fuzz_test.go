package keyindex

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReadRun opens any bytes as a run and, when that succeeds, searches and
// merges it. With seal the checksums are made true first, so that the checks
// behind them are reached.
func FuzzReadRun(f *testing.F) {
	b := golden(f)
	for _, seal := range []bool{false, true} {
		f.Add(b, seal, goldenEntries()[256].Hash)
		f.Add(b[:len(b)-1], seal, uint64(0))
		f.Add([]byte(nil), seal, ^uint64(0))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, seal bool, hash uint64) {
		if seal {
			data = reseal(append([]byte(nil), data...))
		}
		ri, lane := claimed(data)
		path := filepath.Join(dir, RunName(ri))
		require.NoError(t, os.WriteFile(path, data, 0o644))
		defer os.Remove(path)
		searchAnyRun(t, dir, lane, ri, hash)
		readAnyRunFile(t, path, hash)
	})
}

// readAnyRunFile reads a run as a program does that does not own the index.
func readAnyRunFile(t *testing.T, path string, hash uint64) {
	f, err := OpenRunFile(path)
	if err != nil {
		requireTyped(t, err)
		return
	}
	defer func() { require.NoError(t, f.Close()) }()
	var es []Entry
	for i := range f.Blocks() {
		if es, err = f.Block(i, es[:0]); err != nil {
			requireTyped(t, err)
		}
		require.LessOrEqual(t, len(es), blockEntries)
	}
	if err := f.Find(hash, func(uint64) bool { return true }); err != nil {
		requireTyped(t, err)
	}
}

// claimed is what a run says about itself; the name stays a valid one.
func claimed(data []byte) (RunInfo, uint8) {
	var h header
	if len(data) >= headerSize {
		_ = h.decode(data[:headerSize]) // a bad checksum leaves it empty
	}
	return h.RunInfo, h.lane
}

func searchAnyRun(t *testing.T, dir string, lane uint8, ri RunInfo, hash uint64) {
	r, err := openRun(dir, lane, ri)
	if err != nil {
		requireTyped(t, err)
		return
	}
	defer func() { require.NoError(t, r.f.Release()) }()
	if _, err := r.find(hash, func(uint64) bool { return true }); err != nil {
		requireTyped(t, err)
	}
	m := &merger{scans: []*scan{{run: r, lost: func(err error) { requireTyped(t, err) }}}}
	total := int64(0)
	for buf := make([]Entry, 100); ; {
		n, err := m.next(buf)
		require.NoError(t, err)
		total += int64(n)
		if n < len(buf) {
			break
		}
	}
	require.LessOrEqual(t, total, ri.Count)
}

func requireTyped(t *testing.T, err error) {
	var corrupt *CorruptionError
	var version *VersionError
	require.True(t, errors.As(err, &corrupt) || errors.As(err, &version), "%v", err)
}
