package command

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/bench"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(hangUpEnv); path != "" {
		p, _ := process(&watched{})
		os.Exit(Execute(context.Background(), []string{"fire", "--systems", "mute", "--lead", "10m", "-n", "10", "--no-limits", "--json", path}, p))
	}
	goleak.VerifyTestMain(m)
}

// mute is a system that acknowledges scheduled messages and forgets them.
// Ordinary ones it delivers to the subscriber that it has.
type mute struct {
	bench.System
	mu      sync.Mutex
	deliver func([]byte, time.Time)
	kept    [][]byte
}

func (*mute) Name() string                        { return "mute" }
func (*mute) Start(context.Context, string) error { return nil }
func (*mute) Info() bench.Info                    { return bench.Info{Version: "0", Ack: "a lie"} }
func (*mute) Place() bench.Place                  { return bench.InProcess }
func (*mute) PIDs() []int                         { return nil }
func (*mute) Close() error                        { return nil }

func (m *mute) Subscribe(_ context.Context, deliver func([]byte, time.Time)) (func(), error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.deliver = deliver
	for _, b := range m.kept {
		deliver(b, time.Now())
	}
	m.kept = nil
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.deliver = nil
	}, nil
}

func (m *mute) Publisher(_ context.Context, _ int, o bench.PublisherOptions) (bench.Publisher, error) {
	return mutePublisher{m, o.Acked}, nil
}

type mutePublisher struct {
	m     *mute
	acked func(uint64, error)
}

func (p mutePublisher) Publish(id uint64, due time.Time, body []byte) error {
	p.m.mu.Lock()
	defer p.m.mu.Unlock()
	switch {
	case !due.IsZero():
	case p.m.deliver != nil:
		p.m.deliver(body, time.Now())
	default:
		p.m.kept = append(p.m.kept, bytes.Clone(body))
	}
	p.acked(id, nil)
	return nil
}
func (mutePublisher) Flush() error { return nil }
func (mutePublisher) Close() error { return nil }

// watched is a buffer that tells when something was written.
type watched struct {
	mu    sync.Mutex
	b     bytes.Buffer
	on    string
	found func()
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.b.Write(p)
	if w.found != nil && bytes.Contains(w.b.Bytes(), []byte(w.on)) {
		w.found()
	}
	return len(p), nil
}

func process(errs *watched) (Process, *bytes.Buffer) {
	var out bytes.Buffer
	return Process{
		Out: &out, Err: errs,
		Peers: bench.Systems{
			"mute":   func(bench.Mode) (bench.System, error) { return &mute{}, nil },
			"absent": func(bench.Mode) (bench.System, error) { return nil, errors.New("get it with apt") },
		},
	}, &out
}

func TestAnInterruptedCommandLeavesValidJSONAndNothingElse(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, _ := process(&watched{on: "mute fire: receive", found: cancel})
	dir := t.TempDir()
	path := filepath.Join(t.TempDir(), "r.json")
	x, err := newSession(settings{systems: []string{"mute"}, modes: "durable", dir: dir, repeat: 1, noLimits: true, out: outputs{json: path}}, p)
	require.NoError(t, err)
	err = x.close(x.run(ctx, []bench.Workload{&bench.Send{N: 10, Mix: bench.MixYear}, &bench.Fire{N: 10, Lead: 2 * time.Second}}))
	require.ErrorContains(t, err, "interrupted")
	f, err := bench.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, f.Results, 1, "the run that had ended stays")
	require.Contains(t, f.Results[0].Metrics, "send_per_s")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestACommandWithoutAnyResultWritesAnEmptyFile(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p, _ := process(&watched{})
	path := filepath.Join(t.TempDir(), "r.json")
	require.Equal(t, ExitFailed, Execute(ctx, []string{"send", "--systems", "mute", "--no-limits", "--json", path, "--dir", t.TempDir()}, p))
	f, err := bench.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, f.Results)
}

func TestSystemsThatCannotBeHadAreNamed(t *testing.T) {
	p, out := process(&watched{})
	code := Execute(t.Context(), []string{"send", "--systems", "absent,mute", "-n", "10", "--no-limits", "--dir", t.TempDir()}, p)
	require.Equal(t, ExitOK, code)
	require.Contains(t, out.String(), "get it with apt")
	require.Contains(t, out.String(), "mute")
}

func TestPeersThatCannotRunStandInTheResultsOnce(t *testing.T) {
	p, out := process(&watched{})
	path := filepath.Join(t.TempDir(), "r.json")
	code := Execute(t.Context(), []string{"peers", "--systems", "absent", "--no-limits", "--dir", t.TempDir(), "--json", path}, p)
	require.Equal(t, ExitOK, code)
	require.Contains(t, out.String(), "get it with apt")
	f, err := bench.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, f.Results, 1)
}

func TestWrongUseIsToldApart(t *testing.T) {
	errs := &watched{}
	p, _ := process(errs)
	for _, args := range [][]string{
		{"send", "--systems", "none"},
		{"send", "--nonsense"},
		{"compare", "one.json"},
		{"send", "--modes", "fast"},
		{"send", "--repeat", "0"},
		{"send", "--dir", "/does/not/exist"},
	} {
		require.Equal(t, ExitUsage, Execute(t.Context(), append(args, "--no-limits")[:len(args)], p), "%v", args)
	}
	require.Equal(t, ExitFailed, Execute(t.Context(), []string{"report", "absent.json"}, p))
}

func TestReportAndCompareReadWhatARunWrote(t *testing.T) {
	p, out := process(&watched{})
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	require.Equal(t, ExitOK, Execute(t.Context(), []string{"send", "--systems", "mute", "-n", "10", "--no-limits", "--quiet", "--json", path, "--dir", dir, "--gobench", "-"}, p))
	require.Contains(t, out.String(), "BenchmarkSend/system=mute")
	page := filepath.Join(dir, "r.html")
	require.Equal(t, ExitOK, Execute(t.Context(), []string{"report", path, "--html", page, "--png", filepath.Join(dir, "png"), "--markdown", filepath.Join(dir, "r.md")}, p))
	require.FileExists(t, page)
	require.Equal(t, ExitOK, Execute(t.Context(), []string{"compare", path, path}, p))

	f, err := bench.ReadFile(path)
	require.NoError(t, err)
	delete(f.Results[0].Params, "loaded") // of a busy machine a single run is not judged
	require.NoError(t, f.WriteFile(path))
	f.Results[0].Metrics["send_per_s"] /= 10
	worse := filepath.Join(dir, "worse.json")
	require.NoError(t, f.WriteFile(worse))
	require.Equal(t, ExitWorse, Execute(t.Context(), []string{"compare", path, worse}, p))
	require.Contains(t, out.String(), "WORSE")
}

func TestSuitesHaveSizes(t *testing.T) {
	for _, suite := range [][]bench.Workload{short(), full(), versus(1000)} {
		for _, w := range suite {
			require.GreaterOrEqual(t, bench.BodyOf(w), bench.MinBody)
		}
	}
	require.Len(t, decades(bench.Scale{}, 10_000, 1_000_000), 3)
}
