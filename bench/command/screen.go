package command

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/duelog/duelog/bench"
)

// screen shows progress: a bar on a terminal, else at most a line a second. Any
// goroutine may call it.
type screen struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	bar  *progressbar.ProgressBar // of the phase that goes on
	last bench.Progress
	at   time.Time // of the last line
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		s.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return s
}

// show is bench.Options.Progress.
func (s *screen) show(p bench.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal {
		s.showBarLocked(p)
		return
	}
	if now := time.Now(); now.Sub(s.at) >= time.Second {
		s.at = now
		fmt.Fprintln(s.w, describe(p))
	}
}

func describe(p bench.Progress) string {
	s := fmt.Sprintf("%s %s: %s", p.System, p.Workload, p.Phase)
	if p.Total > 0 {
		s += fmt.Sprintf(" %d/%d", p.Done, p.Total)
	}
	return s
}

func (s *screen) showBarLocked(p bench.Progress) {
	if s.bar == nil || p.System != s.last.System || p.Workload != s.last.Workload || p.Phase != s.last.Phase || p.Total != s.last.Total {
		s.clearLocked()
		total := p.Total
		if total == 0 {
			total = -1 // a spinner
		}
		s.bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(s.w), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
			progressbar.OptionSetDescription(fmt.Sprintf("%s %s: %s", p.System, p.Workload, p.Phase)), progressbar.OptionClearOnFinish())
	}
	s.last = p
	_ = s.bar.Set64(p.Done) // a terminal that is gone is no reason to stop
}

func (s *screen) clearLocked() {
	if s.bar != nil {
		_ = s.bar.Clear()
		s.bar = nil
	}
}

// say writes a line.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
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

func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
}
