package tools

import (
	"sync"

	"github.com/schollz/progressbar/v3"
)

// progress shows how far a verb is: a bar on a terminal, nothing elsewhere.
type progress struct {
	e     *env
	title string
	mu    sync.Mutex
	bar   *progressbar.ProgressBar // guarded by mu; nil: not shown
	shown int64
}

func (e *env) progress(title string) *progress { return &progress{e: e, title: title} }

// progressStep is how many bytes pass between two looks at the bar.
const progressStep = 16 << 20

func (p *progress) start(total int64) {
	if p.e.quiet || !isTerminal(p.e.Err) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bar = progressbar.NewOptions64(max(total, 1),
		progressbar.OptionSetWriter(p.e.Err), progressbar.OptionSetDescription(p.title), progressbar.OptionShowBytes(true),
		progressbar.OptionSetWidth(30), progressbar.OptionClearOnFinish(), progressbar.OptionUseANSICodes(true))
}

func (p *progress) set(done int64) {
	if p.bar == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if done-p.shown >= progressStep {
		p.shown = done
		_ = p.bar.Set64(done)
	}
}

func (p *progress) stop() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}
