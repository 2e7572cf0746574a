package duelog

import (
	"context"
	"errors"
	"flag"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/limit"
	"github.com/duelog/duelog/internal/testutil"
	"github.com/duelog/duelog/server"
)

// daemonEnv makes this test binary a duelogd, so that no test needs a compiler.
const daemonEnv = "DUELOG_BENCH_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(daemonEnv) != "" {
		err := server.Execute(context.Background(), os.Args[1:], server.Process{Out: os.Stdout, Err: os.Stderr, Exit: os.Exit})
		os.Exit(server.ExitCode(err))
	}
	os.Setenv(daemonEnv, "1")
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // the tests wait for messages to be due, not for a core
	goleak.VerifyTestMain(m)
}

func systems() bench.Systems {
	return Systems(func() (string, error) { return os.Executable() })
}

func TestWorkloadsRunOnEveryShapeOfDuelog(t *testing.T) {
	for name, create := range systems() {
		workloads := []bench.Workload{&bench.Fire{N: 500, Within: 200 * time.Millisecond, Lead: 3 * time.Second}}
		if name == "duelog" || name == "embedded" {
			workloads = append(workloads, &bench.Send{N: 500}, &bench.Send{N: 500, Mix: bench.MixYear, Flow: bench.Flow{Batch: 20}})
		}
		for _, w := range workloads {
			t.Run(name+"/"+w.Name(), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				r, err := bench.Run(t.Context(), w, bench.Target{New: create, Name: name}, &bench.Options{Dir: dir})
				require.NoError(t, err)
				require.Positive(t, r.Metrics["send_per_s"])
				require.NotEmpty(t, r.Params["ack"])
				left, err := os.ReadDir(dir)
				require.NoError(t, err)
				require.Empty(t, left)
			})
		}
	}
}

func TestADaemonComesBackAfterAKill(t *testing.T) {
	t.Parallel()
	target := bench.Target{New: systems()["duelog"], Name: "duelog"}
	r, err := bench.Run(t.Context(), &bench.Recover{N: 500}, target, &bench.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	require.Positive(t, r.Metrics["restart_ms"])
	require.Positive(t, r.Metrics["rss_bytes"])
	if runtime.GOOS == "linux" {
		require.Positive(t, r.Metrics["restart_cpu_ms"])
		require.Positive(t, r.Metrics["cpu_us_per_msg"])
	}
}

func TestFootprintCountsTheIndexOfWhatIsPending(t *testing.T) {
	t.Parallel()
	target := bench.Target{New: systems()["embedded"], Name: "embedded"}
	r, err := bench.Run(t.Context(), &bench.Footprint{N: 1000, Body: 256}, target, &bench.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	require.Greater(t, r.Metrics["bytes_per_pending"], 256.0+24+4, "body, record header, index entry")
	require.Less(t, r.Metrics["bytes_per_pending"], 2*256.0)
}

func TestAStoreInThisProcessCannotBeKilled(t *testing.T) {
	t.Parallel()
	target := bench.Target{New: systems()["embedded"], Name: "embedded"}
	r, err := bench.Run(t.Context(), &bench.Recover{N: 100}, target, &bench.Options{Dir: t.TempDir()})
	require.ErrorIs(t, err, bench.ErrUnsupported)
	require.False(t, r.Failed())
}

func TestARunningBrokerIsMeasuredAtItsAddress(t *testing.T) {
	t.Parallel()
	d := &Daemon{name: "duelog", path: must(os.Executable()), flush: "async"}
	require.NoError(t, d.Start(t.Context(), t.TempDir()))
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	addr, _, err := parseBanner(must(os.ReadFile(d.dir + "/duelogd-1.log")))
	require.NoError(t, err)
	target, o := bench.Target{New: NewRemote(addr), Name: "remote"}, &bench.Options{Dir: t.TempDir()}
	for range 2 { // the second run sees nothing of the first
		_, err = bench.Run(t.Context(), &bench.Send{N: 300}, target, o)
		require.NoError(t, err)
	}
	for _, w := range []bench.Workload{&bench.Recover{N: 300}, &bench.Footprint{N: 300}} {
		_, err = bench.Run(t.Context(), w, target, o)
		require.ErrorIs(t, err, bench.ErrUnsupported)
	}
}

// What this process takes must not stand for what the broker takes.
func TestOfARunningBrokerOnlyTheClientIsMeasured(t *testing.T) {
	t.Parallel()
	d := &Daemon{name: "duelog", path: must(os.Executable()), flush: "async"}
	require.NoError(t, d.Start(t.Context(), t.TempDir()))
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	addr, _, err := parseBanner(must(os.ReadFile(d.dir + "/duelogd-1.log")))
	require.NoError(t, err)
	dir := t.TempDir()
	limits := &bench.Limits{Config: limit.Config{Dir: dir, Each: 10 * time.Millisecond}}
	_, err = limits.Measure(t.Context(), 1024)
	require.NoError(t, err)
	o := &bench.Options{Dir: dir, Limits: limits}
	for w, bound := range map[bench.Workload]string{
		&bench.Send{N: 300, Mix: bench.MixYear, Flow: bench.Flow{Window: 1}}:        limit.SyncRoundTrip,
		&bench.Fire{N: 300, Within: 1100 * time.Millisecond, Lead: 3 * time.Second}: limit.Timer,
	} {
		r, err := bench.Run(t.Context(), w, bench.Target{New: NewRemote(addr), Name: "remote"}, o)
		require.NoError(t, err)
		require.Equal(t, bound, r.Params["limit"])
		require.False(t, r.Loaded(), "nobody knows what the broker took of the machine")
		for _, unknown := range []string{"cpu_us_per_msg", "publish_cpu_us_per_msg", "rss_bytes", "other_cpus"} {
			require.NotContains(t, r.Metrics, unknown)
		}
		if runtime.GOOS == "linux" {
			require.Positive(t, r.Metrics["client_cpu_us_per_msg"])
			require.Contains(t, r.Metrics, "load_avg")
		}
	}
}

func TestASlowGroupDoesNotHoldUpTheOther(t *testing.T) {
	t.Parallel()
	target := bench.Target{New: systems()["duelog"], Name: "duelog"}
	w := &bench.Mixed{Hot: 300, For: 300 * time.Millisecond, Slow: 50 * time.Millisecond, Flow: bench.Flow{Rate: 500}}
	r, err := bench.Run(t.Context(), w, target, &bench.Options{Dir: t.TempDir()})
	require.NoError(t, err)
	require.Less(t, r.Metrics["slow_delivered"], 300.0)
}

func TestADaemonThatIsMissingSaysSo(t *testing.T) {
	create := Systems(func() (string, error) { return "", errors.New("no compiler") })["duelog"]
	_, err := create(bench.Durable)
	require.ErrorContains(t, err, "no compiler")
	d := &Daemon{path: "/does/not/exist"}
	require.ErrorContains(t, d.Start(t.Context(), t.TempDir()), "/does/not/exist")
	require.NoError(t, d.Close())
}

func TestSampleReadsLinesOfMetrics(t *testing.T) {
	for line, want := range map[string]int64{`m 5`: 5, `m{class="log"} 1.5e3`: 1500} {
		v, ok := sample(line, "m")
		require.True(t, ok)
		require.Equal(t, want, v)
	}
	for _, line := range []string{"mm 5", "m", "# HELP m 5", "m x"} {
		_, ok := sample(line, "m")
		require.False(t, ok, line)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestSteadyLivesThroughSimulatedWeeksAndWeighsThem(t *testing.T) {
	t.Parallel()
	target := bench.Target{New: systems()["embedded"], Name: "embedded"}
	w := &bench.Steady{PerDay: 300, Mix: bench.MixEveryday, Warm: 6 * 24 * time.Hour, Window: 4 * 24 * time.Hour}
	dir := testutil.FastDir(t)
	r, err := bench.Run(t.Context(), w, target, &bench.Options{Dir: dir})
	require.NoError(t, err)
	require.Greater(t, r.Metrics["stored_per_message"], 1024.0)
	require.Greater(t, r.Metrics["written_per_message"], 1024.0)
	require.InDelta(t, 1.2, r.Metrics["bytes_written_ratio"], 0.5)
	require.InDelta(t, 300*2.1, r.Metrics["messages_kept"], 150, "two days of most of them")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)

	daemon := bench.Target{New: systems()["duelog"], Name: "duelog"}
	_, err = bench.Run(t.Context(), w, daemon, &bench.Options{Dir: dir})
	require.ErrorIs(t, err, bench.ErrUnsupported, "a process lives by the machine's clock")
}
