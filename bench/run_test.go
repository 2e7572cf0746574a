package bench

import (
	"context"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func small() []Workload {
	return []Workload{
		&Send{N: 300},
		&Send{N: 300, Mix: MixYear},
		&Send{N: 50, Mix: MixHalfHour, Flow: Flow{Window: 1, Publishers: 3}},
		&Fire{N: 300, Within: 2 * time.Second},
		&Fire{N: 300, Within: time.Second, Lead: 3 * time.Second},
		&Footprint{N: 300},
		&Recover{N: 300},
		&Scale{N: 300, Burst: 50},
	}
}

func TestAnHonestSystemPassesEveryWorkloadAndGetsItsFigures(t *testing.T) {
	want := map[string][]string{
		"send":      {"send_per_s", "ack_p50_ms", "ack_p99_ms"},
		"fire":      {"drain_per_s", "fire_per_s", "lateness_p50_ms", "lateness_p99_ms", "send_per_s"},
		"footprint": {"bytes_per_pending", "bytes_stored_ratio"},
		"recover":   {"restart_ms"},
		"scale":     {"append_ns", "restart_ms", "fire_per_s"},
	}
	for _, w := range small() {
		t.Run(w.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				target, o := target(t, honest)
				r, err := Run(t.Context(), w, target, o)
				require.NoError(t, err)
				require.Empty(t, r.Status())
				require.NotEmpty(t, r.Version)
				require.Subset(t, slices.Collect(maps.Keys(r.Metrics)), append(want[w.Name()], "early", "lost", "duplicates"))
				require.Zero(t, r.Metrics["lost"]+r.Metrics["duplicates"]+r.Metrics["early"])
				requireEmpty(t, o.Dir)
			})
		})
	}
}

// The open loop waits on a timer of the kernel, which fake time does not move.
func TestAnHonestSystemPassesOpenLoops(t *testing.T) {
	target, o := target(t, honest)
	for _, w := range []Workload{
		&Lateness{For: 200 * time.Millisecond, Delay: 50 * time.Millisecond, Flow: Flow{Rate: 500}},
		&Send{N: 100, Mix: MixSecond, Flow: Flow{Rate: 1000}},
		&Mixed{Hot: 100, For: 300 * time.Millisecond, Flow: Flow{Rate: 500}},
	} {
		t.Run(w.Name(), func(t *testing.T) {
			t.Parallel()
			r, err := Run(t.Context(), w, target, o)
			require.NoError(t, err)
			require.Equal(t, "open", r.Params["loop"])
			if w.Name() == "lateness" {
				require.EqualValues(t, 100, r.Histograms["delivered_over_time"].Count, "all, over time")
			}
		})
	}
}

func TestABrokenPromiseFailsTheRun(t *testing.T) {
	for f, want := range map[fault]Verdict{
		loses:   {Lost: 1},
		repeats: {Duplicates: 1},
		hurries: {Early: 1},
		alters:  {Altered: 2, Lost: 1}, // one of the warm-up too: nobody can tell whose it was
		refuses: {Refused: 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			target, o := target(t, f)
			r, err := Run(t.Context(), &Fire{N: 100, Within: time.Second, Lead: 3 * time.Second}, target, o)
			var bad *VerdictError
			require.ErrorAs(t, err, &bad, "fault %d", f)
			require.Equal(t, want, bad.Verdict, "fault %d", f)
			require.True(t, r.Failed())
			require.Equal(t, float64(want.Lost), r.Metrics["lost"])
			require.Equal(t, float64(want.Duplicates), r.Metrics["duplicates"])
			require.Equal(t, float64(want.Early), r.Metrics["early"])
			require.NotContains(t, r.Metrics, "drain_per_s", "a run that failed has no figures")
			require.Empty(t, r.Histograms)
			requireEmpty(t, o.Dir)
		})
	}
}

func TestAMessageThatComesAgainAfterAKillIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, o := target(t, repeats)
		r, err := Run(t.Context(), &Recover{N: 100}, target, o)
		require.NoError(t, err)
		require.Equal(t, 1.0, r.Metrics["duplicates"])
		require.Contains(t, r.Metrics, "restart_ms")

		target, o = broken(t)
		_, err = Run(t.Context(), &Recover{N: 100}, target, o)
		var bad *VerdictError
		require.ErrorAs(t, err, &bad, "a lost one still fails it")
	})
}

// broken loses a message.
func broken(t *testing.T) (Target, *Options) { return target(t, loses) }

func TestAScheduledMessageThatIsNotPendingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, o := target(t, loses)
		_, err := Run(t.Context(), &Send{N: 100, Mix: MixYear}, target, o)
		var bad *VerdictError
		require.ErrorAs(t, err, &bad)
		require.EqualValues(t, 1, bad.Lost)
	})
}

func TestWhatIsPendingIsReadBack(t *testing.T) {
	for f, want := range map[fault]Verdict{
		honest:  {},
		swaps:   {Lost: 1, Duplicates: 1},
		alters:  {Lost: 1, Altered: 1},
		hurries: {Early: 1},
		delays:  {Altered: 1},
	} {
		for _, w := range []Workload{&Send{N: 100, Mix: MixYear}, &Recover{N: 100}, &Scale{N: 100, Burst: 10}} {
			synctest.Test(t, func(t *testing.T) {
				target, o := target(t, f)
				r, err := Run(t.Context(), w, target, o)
				if f == honest {
					require.NoError(t, err)
					require.Equal(t, "read back", r.Params["checked"])
					return
				}
				var bad *VerdictError
				require.ErrorAs(t, err, &bad, "fault %d, %s", f, w.Name())
				if _, ok := w.(*Send); ok {
					require.Equal(t, want, bad.Verdict, "fault %d", f)
				}
			})
		}
	}
}

func TestASystemThatStopsToAnswerStallsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, o := target(t, forgets)
		r, err := Run(t.Context(), &Send{N: 100, Flow: Flow{Window: 1}}, target, o)
		require.ErrorIs(t, err, ErrStalled)
		require.False(t, r.Failed())
		require.NotEmpty(t, r.Status())
		requireEmpty(t, o.Dir)
	})
}

func TestPublishingThatIsTooSlowForItsLeadIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, o := target(t, honest)
		_, err := Run(t.Context(), &Fire{N: 100, Within: time.Second, Lead: time.Millisecond}, target, o)
		require.ErrorIs(t, err, ErrTooSlow)
	})
}

func TestAnInterruptedRunCleansUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target, o := target(t, honest)
		ctx, cancel := context.WithCancel(t.Context())
		var once atomic.Bool
		o.Progress = func(p Progress) {
			if p.Phase == "receive" && once.CompareAndSwap(false, true) {
				cancel()
			}
		}
		_, err := Run(ctx, &Fire{N: 100, Within: 10 * time.Second, Lead: 3 * time.Second}, target, o)
		require.ErrorIs(t, err, context.Canceled)
		requireEmpty(t, o.Dir)
	})
}

func TestASystemThatCannotBeHadIsSkipped(t *testing.T) {
	broken := Target{Name: "none", New: func(Mode) (System, error) { return nil, os.ErrNotExist }}
	r, err := Run(t.Context(), &Send{}, broken, nil)
	require.ErrorIs(t, err, ErrUnsupported)
	require.Contains(t, r.Status(), "skipped: ")
	require.False(t, r.Failed())
}

func TestASlowGroupNeedsASystemWithGroups(t *testing.T) {
	target, o := target(t, honest)
	_, err := Run(t.Context(), &Mixed{Hot: 100, Slow: time.Millisecond}, target, o)
	require.ErrorIs(t, err, ErrUnsupported)
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	target, o := target(t, honest)
	for _, w := range []Workload{&Send{Body: MinBody - 1}, &Send{N: -1}, &Send{Mix: "later"}, &Scale{N: -1}} {
		r, err := Run(t.Context(), w, target, o)
		require.Error(t, err)
		require.NotEmpty(t, r.Status())
	}
}

func TestAResultSaysHowBusyTheMachineWas(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("nothing can be read here")
	}
	target, o := target(t, honest)
	r, err := Run(t.Context(), &Send{N: 300}, target, o)
	require.NoError(t, err)
	for _, name := range []string{"load_avg", "other_cpus", "cpu_us_per_msg"} {
		require.Contains(t, r.Metrics, name)
	}
}

func requireEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "a run leaves nothing behind")
}
