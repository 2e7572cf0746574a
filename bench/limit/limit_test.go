package limit

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryLimitIsMeasuredAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	figures, err := Measure(t.Context(), Config{Dir: dir, Body: 256, Each: 30 * time.Millisecond})
	require.NoError(t, err)
	require.Len(t, figures, 8)
	for _, f := range figures {
		require.Positive(t, f.PerSecond, f.Name)
		if f.Name == Timer || f.Name == TimerLocal {
			require.Positive(t, f.P50, "a timer that rings early is no limit")
		}
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOneLimitIsMeasuredAgainAndTheBetterOneCounts(t *testing.T) {
	figures, err := Measure(t.Context(), Config{Dir: t.TempDir(), Body: 256, Each: 10 * time.Millisecond}, SyncLocal)
	require.NoError(t, err)
	require.Len(t, figures, 1)
	require.Equal(t, SyncLocal, figures[0].Name)

	slow, fast := Figure{Name: Disk, PerSecond: 1}, Figure{Name: Disk, PerSecond: 2}
	require.Equal(t, fast, slow.Better(fast))
	require.Equal(t, fast, fast.Better(slow))
	late, soon := Figure{Name: Timer, PerSecond: 2, P50: 2}, Figure{Name: Timer, PerSecond: 1, P50: 1}
	require.Equal(t, soon, late.Better(soon))
	require.Equal(t, soon, soon.Better(late))
}

func TestMeasuringStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Measure(ctx, Config{Dir: t.TempDir(), Body: 256, Each: time.Hour})
	require.ErrorIs(t, err, context.Canceled)
}

func TestAnAlarmIsNeverEarly(t *testing.T) {
	a, err := NewAlarm()
	require.NoError(t, err)
	defer a.Close()
	for range 5 {
		due := time.Now().Add(1500 * time.Microsecond)
		require.NoError(t, a.Wait(due))
		require.False(t, time.Now().Before(due))
	}
	require.NoError(t, a.Wait(time.Now().Add(-time.Hour)))
}
