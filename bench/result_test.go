package bench

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench/probe"
)

var update = flag.Bool("update", false, "write golden files anew")

func sampleFile() *File {
	return &File{
		Schema: Schema, Revision: "0123abc", Date: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		Machine: probe.Machine{Host: "h", OS: "linux", Arch: "amd64", Kernel: "6.1", CPU: "c", Cores: 2, MemoryBytes: 1 << 30, FileSystem: "ext4", Go: "go1.26"},
		Results: []Result{
			{System: SystemLimit, Workload: "echo", Params: map[string]any{"body": 1024.0}, Metrics: map[string]float64{"send_per_s": 500000}, Histograms: map[string]Histogram{}},
			sample("duelog", 1, 200_000), sample("duelog", 2, 201_000), sample("duelog", 3, 199_000),
		},
	}
}

func sample(system string, round int, rate float64) Result {
	return Result{
		System: system, Version: "v1", Workload: "send",
		Params:     map[string]any{"n": 1000.0, "mix": "30min", "round": float64(round), "mode": "durable"},
		Metrics:    map[string]float64{"send_per_s": rate, "cpu_us_per_msg": 3, "bytes_per_pending": 1100, "lateness_p50_ms": 0.5, "lost": 0, "early": 0, "duplicates": 0, "limit_fraction": 0.4},
		Histograms: map[string]Histogram{"lateness": {Unit: "us", Count: 3, Min: -1, Max: 900, Mean: 400, Buckets: [][2]int64{{-1, 1}, {500, 1}, {900, 1}}}},
	}
}

func TestTheFormOfAFileDoesNotChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	require.NoError(t, sampleFile().WriteFile(path))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	golden := filepath.Join("testdata", "file.json")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	back, err := ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, sampleFile(), back)
}

func TestAFileOfAnotherSchemaIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.json")
	f := sampleFile()
	f.Schema = "duelog-bench/2"
	require.NoError(t, f.WriteFile(path))
	_, err := ReadFile(path)
	require.ErrorContains(t, err, "schema")
	require.NoError(t, os.WriteFile(path, []byte("{"), 0o644))
	_, err = ReadFile(path)
	require.Error(t, err)
}

func TestWritingReplacesAFileAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f.json")
	for range 3 {
		require.NoError(t, sampleFile().WriteFile(path))
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.Error(t, sampleFile().WriteFile(filepath.Join(dir, "absent", "f.json")))
}

func TestRepetitionsShareAKey(t *testing.T) {
	groups := Repetitions(sampleFile())
	require.Len(t, groups, 1, "limits are no repetitions")
	require.Len(t, groups[0], 3)
	v, ok := Median(groups[0], "send_per_s")
	require.True(t, ok)
	require.Equal(t, 200_000.0, v)
}
