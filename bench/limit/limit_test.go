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
	require.Len(t, figures, 7)
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
