package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDurationsKnowDaysAndPrintAsTheyAreWritten(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "500ms": 500 * time.Millisecond, "90s": 90 * time.Second, "366d": 366 * day,
		"1d12h": 36 * time.Hour, "72h": 72 * time.Hour, "1h30m": 90 * time.Minute,
	} {
		got, err := parseDuration(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
		again, err := parseDuration(formatDuration(got))
		require.NoError(t, err, text)
		require.Equal(t, want, again, "%s is printed as %s", text, formatDuration(got))
	}
	require.Equal(t, "3d", formatDuration(72*time.Hour))
	require.Equal(t, "1h30m", formatDuration(90*time.Minute))
	require.Equal(t, "10m", formatDuration(10*time.Minute))
	require.Equal(t, "36h", formatDuration(36*time.Hour))
}

func TestBadDurationsAreRefusedWithAnExample(t *testing.T) {
	for _, text := range []string{"", "5", "d", "-1s", "-3d", "1d-1h", "4294967295d", "106751d24h", "1w", "1.5d"} {
		_, err := parseDuration(text)
		require.ErrorContains(t, err, "write it like", text)
	}
}

func TestSizesKnowUnitsAndPrintTheLargestExactOne(t *testing.T) {
	for text, want := range map[string]struct {
		bytes   int64
		printed string
	}{
		"1GiB": {1 << 30, "1GiB"}, "4 MiB": {4 << 20, "4MiB"}, "1024KiB": {1 << 20, "1MiB"},
		"512": {512, "512B"}, "512B": {512, "512B"}, "0": {0, "0B"}, "1025": {1025, "1025B"},
	} {
		var v sizeValue
		require.NoError(t, v.Set(text), text)
		require.Equal(t, want.bytes, int64(v), text)
		require.Equal(t, want.printed, v.String(), text)
	}
}

func TestBadSizesAreRefusedWithAnExample(t *testing.T) {
	for _, text := range []string{"", "GiB", "-1", "1.5GiB", "1GB", "9223372036854775807KiB", "9223372036854775808"} {
		v := sizeValue(7)
		require.ErrorContains(t, v.Set(text), "write it like", text)
		require.Equal(t, sizeValue(7), v, "a refused value must leave the old one")
	}
}
