package broker

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestOffsetsSurviveARestart(t *testing.T) {
	st, dir := openStore(t), t.TempDir()
	b := newBroker(t, st, dir, nil)
	b.offsets.Commit("g", "t", 0, 7)
	b.offsets.Commit("g", "t", 1, 9)
	b.offsets.Commit("g", "t", 1, 8) // back again: a reset
	require.NoError(t, b.Close())

	b = newBroker(t, st, dir, nil)
	for queue, want := range []int64{7, 8} {
		got, ok := b.offsets.Query("g", "t", int32(queue))
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok := b.offsets.Query("g", "t", 2)
	require.False(t, ok)
	_, ok = b.offsets.Query("h", "t", 0)
	require.False(t, ok)
}

func TestOffsetsAreWrittenOnlyWhenTheyHaveChanged(t *testing.T) {
	reg := prometheus.NewRegistry()
	b := newBroker(t, openStore(t), t.TempDir(), &Options{OffsetsEvery: time.Hour, Registerer: reg})
	saves := func() float64 { return metric(t, reg, "duelog_offsets_saved_total") }
	require.NoError(t, b.offsets.save())
	require.Zero(t, saves())
	b.offsets.Commit("g", "t", 0, 7)
	require.NoError(t, b.offsets.save())
	b.offsets.Commit("g", "t", 0, 7)
	require.NoError(t, b.offsets.save())
	require.EqualValues(t, 1, saves())
}

func TestOffsetsAreWrittenAtIntervals(t *testing.T) {
	dir := t.TempDir()
	b := newBroker(t, openStore(t), dir, &Options{OffsetsEvery: time.Millisecond})
	b.offsets.Commit("g", "t", 0, 7)
	saved := func() bool {
		_, err := os.Stat(filepath.Join(dir, offsetsFile))
		return err == nil
	}
	require.Eventually(t, saved, patience, time.Millisecond)
}

func TestFailedOffsetsWriteIsMadeUpFor(t *testing.T) {
	dir := t.TempDir()
	b := newBroker(t, openStore(t), dir, &Options{OffsetsEvery: time.Hour})
	inTheWay := filepath.Join(dir, offsetsFile+".tmp")
	require.NoError(t, os.Mkdir(inTheWay, 0o755))
	b.offsets.Commit("g", "t", 0, 7)
	require.Error(t, b.offsets.save())
	require.NoError(t, os.Remove(inTheWay))
	require.NoError(t, b.offsets.save())
	require.FileExists(t, filepath.Join(dir, offsetsFile))
}

func TestOffsetsFileThatMakesNoSenseStopsTheStart(t *testing.T) {
	st := openStore(t)
	for _, text := range []string{`{"offsetTable":{"t":{"0":1}}}`, `{"offsetTable":{"t@g":{"x":1}}}`, `{"offsetTable":{"t@g":{"0":-1}}}`, `[]`} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, offsetsFile), []byte(text), 0o644))
		_, err := New(st, dir, nil)
		require.ErrorContains(t, err, offsetsFile, text)
	}
}
