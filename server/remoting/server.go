package remoting

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("remoting: server closed")

// ServerOptions configure a Server. The zero value of a field means its default.
type ServerOptions struct {
	// MaxFrame is the longest frame taken or sent, in bytes. Default 16 MiB.
	MaxFrame int
	// IdleTimeout closes a connection on which no byte moved, in either
	// direction, for so long. Default 120 s; clients send heartbeats every 30 s.
	IdleTimeout time.Duration
	// FirstFrameTimeout closes a connection that has not sent one whole frame so
	// long after it was opened. Default 30 s.
	FirstFrameTimeout time.Duration
	// MaxOutBytes is how much may be queued for a peer that does not read; beyond
	// it the connection is closed. From half of it on no more requests are read
	// from that peer; up to there a frame is taken whatever its length. Default
	// 64 MiB.
	MaxOutBytes int
	// MaxConns is how many connections may be open; more are closed as soon as
	// they are accepted. Default 10,000; negative: no limit.
	MaxConns int
	// Logger gets one line per connection that ends for a reason an operator may
	// have to look into. Default: none.
	Logger *slog.Logger
	// OnClose, when not nil, is called once for every connection that has ended.
	// It may count; it must not block.
	OnClose func(c *Conn, reason CloseReason, err error)
}

func (o *ServerOptions) ensureDefaults() {
	setDefault(&o.MaxFrame, 16<<20)
	setDefault(&o.IdleTimeout, 120*time.Second)
	setDefault(&o.FirstFrameTimeout, 30*time.Second)
	setDefault(&o.MaxOutBytes, 64<<20)
	setDefault(&o.MaxConns, 10_000)
	setDefault(&o.Logger, slog.New(slog.DiscardHandler))
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Server accepts connections and serves them with a Handler.
type Server struct {
	handler Handler
	opts    ServerOptions
	stats   counters
	stop    chan struct{} // closed by the first Shutdown or Close

	mu        sync.Mutex
	stopped   bool
	sweeping  bool
	listeners map[net.Listener]struct{}
	conns     map[*Conn]struct{}
	wg        sync.WaitGroup // connections and the sweeper
}

// NewServer returns a server that has no listener yet. o may be nil.
func NewServer(h Handler, o *ServerOptions) *Server {
	s := &Server{
		handler: h, stop: make(chan struct{}),
		listeners: make(map[net.Listener]struct{}), conns: make(map[*Conn]struct{}),
	}
	if o != nil {
		s.opts = *o
	}
	s.opts.ensureDefaults()
	return s
}

// Stats returns the counters of the server.
func (s *Server) Stats() Stats {
	st := s.stats.snapshot()
	s.mu.Lock()
	st.Open = int64(len(s.conns))
	s.mu.Unlock()
	return st
}

// Serve accepts connections on l until Shutdown or Close is called, which closes
// l; it returns ErrServerClosed then. Several calls with different listeners may
// run at the same time.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.removeListener(l)
	var delay time.Duration
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			delay = 0
			s.accept(nc)
		case s.isStopped():
			return ErrServerClosed
		case errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF):
			return err
		default: // out of file descriptors, most of all: it passes
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			s.opts.Logger.Warn("accept connection", "listener", l.Addr(), "error", err, "retry_in", delay)
			if !s.pause(delay) {
				return ErrServerClosed
			}
		}
	}
}

// pause waits; it reports false when the server stops meanwhile.
func (s *Server) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// accept starts serving nc, or closes it when there is no room for it.
func (s *Server) accept(nc net.Conn) {
	c := newConn(nc, s.handler, limits{
		maxFrame: s.opts.MaxFrame, maxOut: s.opts.MaxOutBytes, closeSlow: true,
	}, &s.stats)
	if !s.addConn(c) {
		c.in.release()
		nc.Close()
		return
	}
	go func() {
		defer s.wg.Done()
		c.run()
		s.removeConn(c)
	}()
}

// addConn registers c; false means that it has to be closed.
func (s *Server) addConn(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	if s.opts.MaxConns > 0 && len(s.conns) >= s.opts.MaxConns {
		s.stats.refused.Add(1)
		return false
	}
	s.stats.accepted.Add(1)
	s.conns[c] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *Server) removeConn(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	s.stats.closed[c.reason].Add(1)
	s.logClose(c)
	if s.opts.OnClose != nil {
		s.opts.OnClose(c, c.reason, c.cause)
	}
}

func (s *Server) logClose(c *Conn) {
	level := slog.LevelDebug
	switch c.reason {
	case CloseFraming, CloseSlowReader, CloseSilent:
		level = slog.LevelWarn
	}
	s.opts.Logger.Log(context.Background(), level, "connection closed",
		"remote", c.remote, "reason", c.reason.String(), "error", c.cause)
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.listeners[l] = struct{}{}
	if !s.sweeping {
		s.sweeping = true
		s.wg.Add(1)
		go s.sweep()
	}
	return true
}

func (s *Server) removeListener(l net.Listener) {
	s.mu.Lock()
	delete(s.listeners, l)
	s.mu.Unlock()
	l.Close()
}

func (s *Server) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}
