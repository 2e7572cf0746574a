package command

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	humanize "github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"github.com/duelog/duelog/bench"
)

// screen shows progress: a bar on a terminal, else about a line a second. What goes on
// is shown again when nothing new is said of it, so that nobody takes a long step for
// one that hangs. Any goroutine may call it.
type screen struct {
	w        io.Writer
	terminal bool
	stop     context.CancelFunc
	beats    sync.WaitGroup

	mu    sync.Mutex
	bar   *progressbar.ProgressBar // of the task that goes on
	task  string                   // what goes on; "": nothing
	since time.Time                // when the task began
	last  bench.Progress           // of the task
	at    time.Time                // of the last line
	heard time.Time                // of the last progress
}

const beatEvery = time.Second

// newScreen makes a screen that is to be closed.
func newScreen(w io.Writer) *screen {
	ctx, stop := context.WithCancel(context.Background())
	s := &screen{w: w, stop: stop}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	s.beats.Go(func() { s.run(ctx) })
	return s
}

func (s *screen) run(ctx context.Context) {
	tick := time.NewTicker(beatEvery / 4) // so that none is missed by a hair
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.beat(now)
		}
	}
}

// beat shows the task again, unless that has just been done.
func (s *screen) beat(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.task == "" || now.Sub(s.at) < beatEvery || now.Sub(s.heard) < beatEvery/2 {
		return
	}
	s.at = now
	if s.terminal {
		s.drawLocked(now)
		return
	}
	fmt.Fprintf(s.w, "%s (%d s)\n", s.task+counts(s.last), int64(now.Sub(s.since).Seconds()))
}

// show is bench.Options.Progress.
func (s *screen) show(p bench.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if task := fmt.Sprintf("%s %s: %s", p.System, p.Workload, p.Phase); task != s.task || p.Total != s.last.Total {
		s.beginLocked(task, now)
	}
	s.last, s.heard = p, now
	switch {
	case s.terminal:
		s.at = now
		s.drawLocked(now)
	case now.Sub(s.at) >= beatEvery:
		s.at = now
		fmt.Fprintln(s.w, s.task+counts(p))
	}
}

// begin says what goes on from now.
func (s *screen) begin(format string, args ...any) {
	s.say(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = time.Now()
	s.beginLocked(fmt.Sprintf(format, args...), s.at)
}

func (s *screen) beginLocked(task string, now time.Time) {
	s.clearLocked()
	s.task, s.since, s.last = task, now, bench.Progress{}
}

// counts says how far p is.
func counts(p bench.Progress) string {
	if p.Total == 0 {
		return ""
	}
	return strings.TrimRight(fmt.Sprintf(" %d/%d %s", p.Done, p.Total, p.Unit), " ")
}

// rate says how fast a phase has been so far. At first that is not known: what is done
// when it is looked at first need not have been done since it began.
func rate(p bench.Progress, took time.Duration) string {
	if p.Done == 0 || p.Unit != "" || took < beatEvery {
		return ""
	}
	return fmt.Sprintf(", %s/s", humanize.Comma(int64(float64(p.Done)/took.Seconds())))
}

func (s *screen) drawLocked(now time.Time) {
	if s.bar == nil {
		total := s.last.Total
		if total == 0 {
			total = -1 // a spinner
		}
		s.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.w), progressbar.OptionShowCount(),
			progressbar.OptionSetDescription(s.task), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetSpinnerChangeInterval(0)) // else it draws by itself, and never stops to
	}
	s.bar.Describe(s.task + rate(s.last, now.Sub(s.since)))
	_ = s.bar.Set64(s.last.Done) // a terminal that is gone is no reason to stop
}

func (s *screen) clearLocked() {
	if s.bar != nil {
		_ = s.bar.Clear()
		s.bar = nil
	}
}

// say writes a line; nothing goes on then.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	s.task = ""
	fmt.Fprintf(s.w, format+"\n", args...)
}

// done says how a run ended.
func (s *screen) done(r *bench.Result) {
	how := r.Status()
	if how == "" {
		how = "done"
	}
	s.say("%s %s: %s", r.System, r.Workload, how)
}

// close is idempotent.
func (s *screen) close() {
	s.stop()
	s.beats.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
}
