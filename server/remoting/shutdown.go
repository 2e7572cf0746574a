package remoting

import (
	"context"
	"errors"
	"time"
)

// Shutdown stops accepting and reading, and returns nil once every request that
// was read has been answered, every answer written and every connection closed.
// When ctx ends first, what is still open is closed at once and the error is
// that of ctx; handlers that run get one second more to return, so that nobody
// takes away what they use. A request that is answered much later, such as a held
// pull, keeps Shutdown waiting: answer those first.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.stopAccepting() {
		c.drain()
	}
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.closeConns()
		awaitHandlers(done)
		return ctx.Err()
	}
}

// handlersAtMost bounds how long Shutdown waits for handlers after its deadline.
const handlersAtMost = time.Second

func awaitHandlers(done <-chan struct{}) {
	t := time.NewTimer(handlersAtMost)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// Close closes all listeners and connections at once and waits until the last
// handler has returned.
func (s *Server) Close() error {
	s.stopAccepting()
	s.closeConns()
	s.wg.Wait()
	return nil
}

// stopAccepting closes the listeners and returns the connections that are open.
func (s *Server) stopAccepting() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped {
		s.stopped = true
		close(s.stop)
	}
	for l := range s.listeners {
		l.Close()
	}
	return s.openConns()
}

// openConns lists the connections; s.mu is held.
func (s *Server) openConns() []*Conn {
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (s *Server) closeConns() {
	s.mu.Lock()
	conns := s.openConns()
	s.mu.Unlock()
	for _, c := range conns {
		c.shut(CloseShutdown, ErrServerClosed)
	}
}

// drain makes the reader end after the frames it has, and lets the writer close
// the connection when all of them are answered.
func (c *Conn) drain() {
	c.mu.Lock()
	c.draining = true
	c.mu.Unlock()
	if err := c.nc.SetReadDeadline(time.Unix(1, 0)); err != nil {
		c.shut(CloseShutdown, errors.Join(ErrServerClosed, err))
	}
}
