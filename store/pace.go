package store

// pace bounds how many entries fire per second: a token bucket on the wall clock.
// After a forward step of the clock, or a long time down, everything that is due
// is fired in order, but no faster. Dispatcher goroutine only.
type pace struct {
	perSecond int64 // 0 = no bound
	saved     float64
	asOfMs    int64
}

const (
	// paceSaved is for how long what was not fired may be fired later, all at once.
	paceSaved = 100 // ms
	// paceStep is how much is fired at a time at the bound, so that a batch is more
	// than an entry.
	paceStep = 10 // ms
)

// allowed returns how many entries may fire at nowMs, at most most.
func (p *pace) allowed(nowMs int64, most int) int {
	if p.perSecond == 0 {
		return most
	}
	elapsed := max(nowMs-p.asOfMs, 0) // the clock may have been set back
	p.asOfMs = nowMs
	p.saved = min(p.saved+p.in(elapsed), max(p.in(paceSaved), 1))
	if p.saved < p.step() {
		return 0
	}
	return min(int(p.saved), most)
}

// spend takes n entries off.
func (p *pace) spend(n int) {
	if p.perSecond > 0 {
		p.saved -= float64(n)
	}
}

// againMs is when something may fire after allowed has said none.
func (p *pace) againMs() int64 {
	return p.asOfMs + 1 + int64((p.step()-p.saved)*1000/float64(p.perSecond))
}

// step is the least that fires at a time; p.saved is rounded down to entries.
func (p *pace) step() float64 { return max(float64(int64(p.in(paceStep))), 1) }

// in is what may fire within ms.
func (p *pace) in(ms int64) float64 { return float64(p.perSecond) * float64(ms) / 1000 }
