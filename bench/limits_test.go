package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench/limit"
)

func TestALimitThatWasPassedIsMeasuredAgain(t *testing.T) {
	l := Limits{Config: limit.Config{Dir: t.TempDir(), Each: 10 * time.Millisecond}}
	_, err := l.Measure(t.Context(), 256)
	require.NoError(t, err)
	within := Result{Params: map[string]any{"body": 256}, Metrics: map[string]float64{}}
	within.limited(1, 2, limit.SyncLocal)
	again, err := l.Correct(t.Context(), &within)
	require.NoError(t, err)
	require.Empty(t, again)

	real := l.known[256][limit.SyncLocal].PerSecond
	l.known[256][limit.SyncLocal] = limit.Figure{Name: limit.SyncLocal, PerSecond: real / 1e6}
	rate := real / 1e3
	passed := Result{Params: map[string]any{"body": 256}, Metrics: map[string]float64{}}
	passed.limited(rate, real/1e6, limit.SyncLocal)
	again, err = l.Correct(t.Context(), &passed)
	require.NoError(t, err)
	require.Len(t, again, 1)
	require.InEpsilon(t, rate/l.known[256][limit.SyncLocal].PerSecond, passed.Metrics["limit_fraction"], 1e-9)
	require.Less(t, passed.Metrics["limit_fraction"], 1.0)
}
