package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// scaled is the sample file with one metric multiplied.
func scaled(metric string, by float64) *File {
	f := sampleFile()
	for i := range f.Results {
		if f.Results[i].System != SystemLimit {
			f.Results[i].Metrics[metric] *= by
		}
	}
	return f
}

func TestOnlyWhatExceedsTheNoiseIsARegression(t *testing.T) {
	for _, c := range []struct {
		metric string
		by     float64
		worse  bool
	}{
		{"send_per_s", 1, false},
		{"send_per_s", 0.95, false},
		{"send_per_s", 0.7, true},
		{"send_per_s", 1.5, false},
		{"cpu_us_per_msg", 1.05, false},
		{"cpu_us_per_msg", 1.2, true},
		{"cpu_us_per_msg", 0.5, false},
		{"bytes_per_pending", 1.01, false},
		{"bytes_per_pending", 1.04, true},
		{"lateness_p50_ms", 1.1, false},
		{"lateness_p50_ms", 2, true},
		{"limit_fraction", 0.1, false},
	} {
		got := Compare(sampleFile(), scaled(c.metric, c.by))
		require.Equal(t, c.worse, got.Regressed(), "%s x %v", c.metric, c.by)
	}
}

func TestRepetitionsThatDifferRaiseTheThreshold(t *testing.T) {
	noisy := func(by float64) *File {
		f := scaled("send_per_s", by)
		f.Results[1].Metrics["send_per_s"] *= 0.5
		f.Results[2].Metrics["send_per_s"] *= 1.5
		return f
	}
	require.False(t, Compare(noisy(1), noisy(0.7)).Regressed())
}

func TestRunsThatOverlapAreNoRegression(t *testing.T) {
	after := scaled("send_per_s", 0.7)
	require.True(t, Compare(sampleFile(), after).Regressed())
	after.Results[2].Metrics["send_per_s"] = 201_500
	require.False(t, Compare(sampleFile(), after).Regressed(), "one run was as good as before")
}

func TestASingleRunOrABusyMachineProvesLess(t *testing.T) {
	alone := func(by float64) *File {
		f := scaled("send_per_s", by)
		f.Results = f.Results[:2]
		return f
	}
	require.False(t, Compare(alone(1), alone(0.7)).Regressed())
	require.True(t, Compare(alone(1), alone(0.5)).Regressed())

	tail := func(by float64, runs int) *File {
		f := scaled("lateness_p50_ms", 1)
		for i := range f.Results {
			f.Results[i].Metrics["lateness_p99_ms"] = by
		}
		f.Results = f.Results[:runs+1]
		return f
	}
	require.False(t, Compare(tail(1, 1), tail(9, 1)).Regressed(), "one stall decides a tail")
	require.False(t, Compare(tail(1, 3), tail(1.4, 3)).Regressed())
	require.True(t, Compare(tail(1, 3), tail(9, 3)).Regressed())

	busy := scaled("send_per_s", 0.7)
	busy.Results[2].Params["loaded"] = true
	require.False(t, Compare(sampleFile(), busy).Regressed())
	busy = scaled("cpu_us_per_msg", 1.2)
	busy.Results[2].Params["loaded"] = true
	require.True(t, Compare(sampleFile(), busy).Regressed(), "CPU time holds on a busy machine")

	disturbed := alone(0.1)
	disturbed.Results[1].Params["loaded"] = true
	require.False(t, Compare(alone(1), disturbed).Regressed(), "one run on a busy machine says nothing of time")
}

func TestABrokenPromiseAndAMissingRunAreRegressions(t *testing.T) {
	broken := sampleFile()
	broken.Results[3].strip(statusFailed+"lost", Verdict{Lost: 1})
	got := Compare(sampleFile(), broken)
	require.Len(t, got.Broken, 1)
	require.True(t, got.Regressed())

	missing := sampleFile()
	missing.Results = missing.Results[:1]
	got = Compare(sampleFile(), missing)
	require.Len(t, got.Missing, 1)
	require.True(t, got.Regressed())
	require.False(t, Compare(missing, sampleFile()).Regressed(), "what is new is no regression")
}

func TestAFigureThatGrowsFromNothingIsInfinitelyWorse(t *testing.T) {
	before := scaled("lateness_p50_ms", 0)
	d := Compare(before, sampleFile())
	require.True(t, d.Regressed())
	require.False(t, Compare(before, before).Regressed())
}
