package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/duelog/duelog/bench/probe"
)

// Workload is one way to load a system. Its fields are what is measured and
// become Result.Params; zero fields take defaults in Run.
type Workload interface {
	// Name is Result.Workload.
	Name() string
	// params are the fields, after defaults.
	params() map[string]any
	// check reports the first field that makes no sense, and sets defaults.
	check() error
	// run loads the system and fills s.result. An error discards the figures.
	run(ctx context.Context, s *stage) error
	// size is the length of the bodies, for the limits.
	size() int
	// messages is how many are stored in all, for fetchMemory.
	messages() int64
}

// Target is a system to measure and how.
type Target struct {
	// New makes a fresh System; a workload may need several, one after the other.
	New Constructor
	// Name is that of Systems.
	Name string
	Mode Mode
}

// Options of Run. The zero value of a field means its default; nil is allowed.
type Options struct {
	// Dir is where the directories of systems are made. Default: os.TempDir.
	Dir string
	// Limits are noted as fractions; nil: none.
	Limits *Limits
	// Round numbers the repetitions of a workload, from 1. Default 1.
	Round int
	// Progress is called about ten times a second from any goroutine; nil: not at all.
	Progress func(Progress)
	// Stall is how long nothing may happen, when something should, before a run
	// fails. Default 30 s.
	Stall time.Duration
	// Settle is how long a run waits for duplicates after the last message. Default
	// 300 ms; negative: not at all.
	Settle time.Duration
}

func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	if out.Dir == "" {
		out.Dir = os.TempDir()
	}
	if out.Round == 0 {
		out.Round = 1
	}
	if out.Progress == nil {
		out.Progress = func(Progress) {}
	}
	if out.Stall == 0 {
		out.Stall = 30 * time.Second
	}
	if out.Settle == 0 {
		out.Settle = 300 * time.Millisecond
	}
	return out
}

// Progress says how far a run is.
type Progress struct {
	System, Workload string
	Phase            string // "publish", "wait", "receive", ...
	Done, Total      int64  // Total is 0 when it is not known
	Unit             string // of Done and Total: "" are messages, "s" seconds
}

// Run starts a fresh system, loads it, checks that it kept its promises, and
// removes every process and file of it. The result is valid even with an error:
// it says in its params why there are no figures. The error is a *VerdictError
// when the system lost, repeated or altered a message or delivered one early;
// it wraps ErrUnsupported when the system cannot do what the workload needs.
func Run(ctx context.Context, w Workload, t Target, o *Options) (Result, error) {
	s := &stage{target: t, opts: o.withDefaults()}
	err := w.check()
	s.result = Result{
		System: t.Name, Workload: w.Name(), Params: maps.Clone(w.params()),
		Metrics: map[string]float64{}, Histograms: map[string]Histogram{},
	}
	s.result.Params["mode"] = t.Mode.String()
	s.result.Params["round"] = s.opts.Round
	if err == nil {
		s.needs = memoryFor(w)
		err = w.run(ctx, s)
	}
	if cerr := s.tearDown(); err == nil {
		err = cerr
	}
	if err == nil {
		err = ctx.Err()
	}
	s.conclude(err)
	if err != nil {
		err = fmt.Errorf("%s on %s: %w", w.Name(), t.Name, err)
	}
	return s.result, err
}

// conclude takes the figures away from a run that failed.
func (s *stage) conclude(err error) {
	var bad *VerdictError
	switch {
	case err == nil:
		s.result.addVerdict(Verdict{Duplicates: s.again})
	case errors.As(err, &bad):
		s.result.strip(statusFailed+err.Error(), bad.Verdict)
	case errors.Is(err, ErrUnsupported):
		s.result.strip(statusSkipped+err.Error(), Verdict{})
	default:
		s.result.strip("error: "+err.Error(), Verdict{})
	}
}

// stage is one run: the system that is up and what was made for it.
type stage struct {
	target Target
	opts   Options
	result Result

	sys   System
	dir   string
	needs int64 // bytes of memory that the system will fill, roughly
	inbox *inbox
	stops []func() // subscriptions to end, last first
	ids   uint64   // how many ids ledgers have taken
	again int64    // messages that came again where that is no fault
}

// up starts a fresh system in a fresh directory; the one before is taken down.
func (s *stage) up(ctx context.Context) error {
	if err := s.tearDown(); err != nil {
		return err
	}
	sys, err := s.target.New(s.target.Mode)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	s.sys = sys
	if s.dir, err = os.MkdirTemp(s.opts.Dir, "duelog-bench-*"); err != nil {
		return fmt.Errorf("make directory for the system: %w", err)
	}
	s.progress("start", 0, 0)
	probe.FetchMemory(s.needs)
	if err := sys.Start(ctx, s.dir); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	s.inbox = newInbox()
	info := sys.Info()
	s.result.Version = info.Version
	s.result.Params["ack"] = info.Ack
	if info.Settings != "" {
		s.result.Params["settings"] = info.Settings
	}
	if info.Resolution > time.Millisecond {
		s.result.Params["resolution_ms"] = info.Resolution.Milliseconds()
	}
	return nil
}

// tearDown ends the system, if one is up, and removes its files.
func (s *stage) tearDown() error {
	if s.sys == nil {
		return nil
	}
	s.unsubscribe()
	err := s.sys.Close()
	s.sys = nil
	if s.dir != "" {
		if rerr := os.RemoveAll(s.dir); err == nil {
			err = rerr
		}
		s.dir = ""
	}
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

func (s *stage) meter() meter {
	m := meter{place: s.sys.Place()}
	if m.place == Children {
		m.pids = s.sys.PIDs()
		if n, ok := s.sys.(Named); ok {
			m.names = n.ProcessNames()
		}
	}
	return m
}

// subscribe delivers into the inbox from now on.
func (s *stage) subscribe(ctx context.Context) error {
	stop, err := s.sys.Subscribe(ctx, s.inbox.deliver)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	s.stops = append(s.stops, stop)
	return nil
}

func (s *stage) unsubscribe() {
	for i := range slices.Backward(s.stops) {
		s.stops[i]()
	}
	s.stops = nil
}

// ledger makes one for n bodies and lets the inbox know it.
func (s *stage) ledger(n int64, size int) *ledger { return s.ledgerFrom(time.Now(), n, size) }

// ledgerFrom makes a ledger whose arrivals are counted from start.
func (s *stage) ledgerFrom(start time.Time, n int64, size int) *ledger {
	l := newLedger(rand.Uint64(), n, size, start)
	l.base = s.ids
	s.ids += uint64(n)
	s.inbox.add(l)
	return l
}

func (s *stage) progress(phase string, done, total int64) {
	s.opts.Progress(Progress{System: s.target.Name, Workload: s.result.Workload, Phase: phase, Done: done, Total: total})
}

// BodyOf returns the size of the bodies of w, after defaults, in bytes.
func BodyOf(w Workload) int {
	_ = w.check() // Run reports what is wrong with it
	return w.size()
}
