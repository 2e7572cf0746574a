package remoting

import (
	"fmt"
	"time"
)

// sweep looks at all connections a few times per timeout and closes those that
// are idle or have never said anything. Deadlines on the sockets would cost a
// timer update with every read and write.
func (s *Server) sweep() {
	defer s.wg.Done()
	every := max(min(s.opts.IdleTimeout, s.opts.FirstFrameTimeout)/8, 10*time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	watched := make(map[*Conn]*watch)
	for {
		select {
		case <-s.stop:
			return
		case now := <-tick.C:
			s.sweepOnce(now, watched)
		}
	}
}

// watch is what the sweeper remembers of a connection.
type watch struct {
	opened   time.Time // when it was first seen
	moved    time.Time // when progress was last seen to change
	progress uint32
}

func (s *Server) sweepOnce(now time.Time, watched map[*Conn]*watch) {
	s.mu.Lock()
	conns := s.openConns()
	for c := range watched {
		if _, open := s.conns[c]; !open {
			delete(watched, c)
		}
	}
	s.mu.Unlock()
	for _, c := range conns {
		w := watched[c]
		if w == nil {
			watched[c] = &watch{opened: now, moved: now, progress: c.progress.Load()}
			continue
		}
		s.check(c, w, now)
	}
}

// check closes c if it has outlived a timeout.
func (s *Server) check(c *Conn, w *watch, now time.Time) {
	if p := c.progress.Load(); p != w.progress {
		w.progress, w.moved = p, now
	}
	if !c.greeted.Load() && now.Sub(w.opened) >= s.opts.FirstFrameTimeout {
		c.shut(CloseSilent, fmt.Errorf("no frame within %v", s.opts.FirstFrameTimeout))
		return
	}
	if now.Sub(w.moved) >= s.opts.IdleTimeout {
		c.shut(CloseIdle, fmt.Errorf("idle for %v", s.opts.IdleTimeout))
	}
}
