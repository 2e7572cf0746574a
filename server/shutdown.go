package server

import (
	"context"
	"errors"
	"time"
)

// Close stops gracefully, in the order in which work flows through the process,
// and gives everything back. It returns the first round of errors to every caller.
//
//  1. /readyz answers 503 and new messages are refused.
//  2. Held pulls are answered, the listeners close, and the answers that are owed
//     are written, at most DrainTimeout long.
//  3. The broker saves its offsets.
//  4. The store writes a checkpoint and lets its lock go.
//  5. The admin address closes, last, so that the stop can be watched.
//
// A step that fails does not keep the later ones from running.
func (s *Server) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.stop() })
	return s.closeErr
}

func (s *Server) stop() error {
	begin := time.Now()
	served := s.ready.Swap(false)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.DrainTimeout)
	defer cancel()
	err := errors.Join(s.stopWire(ctx), s.stopBroker(), s.stopStore(), s.stopAdmin(ctx), s.stopListeners())
	if served {
		s.log.Info("stopped", "took_ms", time.Since(begin).Milliseconds())
	}
	return err
}

// stopWire refuses what is new and answers what is owed.
func (s *Server) stopWire(ctx context.Context) error {
	if s.wire == nil {
		return nil
	}
	s.unregister()
	s.router.draining.Store(true)
	s.broker.Drain()
	err := s.wire.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		s.log.Warn("clients were cut off: they did not take their answers in time", "drain_timeout", s.cfg.DrainTimeout)
		return nil
	}
	return err
}

func (s *Server) stopBroker() error {
	if s.broker == nil {
		return nil
	}
	return s.broker.Close()
}

func (s *Server) stopStore() error {
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

func (s *Server) stopAdmin(ctx context.Context) error {
	if s.admin == nil {
		return nil
	}
	return s.admin.close(ctx)
}

// stopListeners closes the sockets of a process that never served.
func (s *Server) stopListeners() error {
	if s.listeners == nil {
		return nil
	}
	return s.listeners.close()
}
