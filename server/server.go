package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/segment"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/server/namesrv"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// delaySegmentSize is the most that a file of the longer delay lanes takes: few
// messages live there at a time, and a file is recycled only as a whole.
const delaySegmentSize = store.DefaultDelaySegmentSize

// Options are what a Server gets from the program around it, beside its Config.
// Nil Options and nil fields are allowed.
type Options struct {
	// Out receives the banner and the demonstration; nil discards them.
	Out io.Writer
	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger
	// Registry collects all metrics and is served at /metrics; nil makes one
	// with the Go runtime's and the process's own.
	Registry *prometheus.Registry
}

func (o *Options) ensureDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = newRegistry()
	}
	return c
}

// Addrs are the addresses that were really taken, HOST:PORT; empty for a
// listener that the configuration leaves out.
type Addrs struct {
	Broker, VIP, Namesrv, Admin string
	// Advertised is the broker address that clients are told.
	Advertised string
}

// Server is one broker process in the making: New acquires everything, Serve
// runs it, Close gives everything back.
type Server struct {
	cfg     *Config
	out     io.Writer
	log     *slog.Logger
	addrs   Addrs
	dataDir string // absolute

	listeners *listeners
	store     *store.Store
	broker    *broker.Broker
	router    *router
	wire      *remoting.Server
	admin     *admin
	// unregister takes the process metrics away before what they read is closed.
	unregister func()
	openTime   time.Duration

	ready     atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// Run serves until ctx ends, then stops gracefully. It returns nil for a stop
// that was asked for.
func Run(ctx context.Context, cfg *Config, o *Options) error {
	s, err := New(cfg, o)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}

// New takes every address, then opens the store, and serves nothing yet. The
// caller must call Serve or Close. Errors: ListenError, store.LockedError, and
// what the store and the broker find wrong with their files.
func New(cfg *Config, o *Options) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opts := o.ensureDefaults()
	tuneRuntime(opts.Logger)
	s := &Server{cfg: cfg, out: opts.Out, log: opts.Logger, unregister: func() {}}
	if err := s.acquire(opts.Registry); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) acquire(reg *prometheus.Registry) (err error) {
	if s.dataDir, err = filepath.Abs(s.cfg.Data); err != nil {
		return fmt.Errorf("find data directory: %w", err)
	}
	if s.listeners, err = listen(s.cfg); err != nil {
		return addHolder(err, s.dataDir)
	}
	advertise, err := advertised(s.cfg, s.listeners.broker.Addr())
	if err != nil {
		return err
	}
	s.addrs = s.listeners.addrs()
	s.addrs.Advertised = advertise.String()
	if err := s.openStore(reg); err != nil {
		return err
	}
	s.broker, err = broker.New(s.store, filepath.Join(s.dataDir, "config"), &broker.Options{
		ClusterName:     s.cfg.ClusterName,
		BrokerName:      s.cfg.BrokerName,
		Advertise:       advertise,
		AutoCreateTopic: s.cfg.AutoCreateTopic,
		AutoCreateGroup: true,
		MaxMessageSize:  int32(s.cfg.MaxMessageSize),
		MaxDelay:        s.cfg.MaxDelay,
		Logger:          s.log,
		Registerer:      reg,
	})
	if err != nil {
		return err
	}
	return s.wireUp(reg)
}

func (s *Server) openStore(reg prometheus.Registerer) error {
	begin := time.Now()
	st, err := store.Open(s.dataDir, s.storeOptions(reg))
	if err != nil {
		return err // It names the store and the next step.
	}
	s.store = st
	s.openTime = time.Since(begin)
	return nil
}

func (s *Server) storeOptions(reg prometheus.Registerer) *store.Options {
	o := &store.Options{
		Flush:              commitlog.Sync,
		FlushEvery:         s.cfg.FlushEvery,
		Writer:             segment.Pwrite,
		MaxDelay:           s.cfg.MaxDelay,
		FireRate:           s.cfg.FireRate,
		MaxOverdue:         s.cfg.MaxOverdue,
		MaxIndexBacklog:    int(s.cfg.MaxIndexBacklog),
		MaxSendWait:        s.cfg.MaxSendWait,
		Retention:          s.cfg.Retention,
		ScheduledRetention: s.cfg.ScheduledRetention,
		RetentionBytes:     s.cfg.RetentionSize,
		DiskWarn:           float64(s.cfg.DiskWarn) / 100,
		DiskRefuse:         float64(s.cfg.DiskRefuse) / 100,
		DiskFree:           s.cfg.DiskFree,
		SegmentSize:        s.cfg.SegmentSize,
		DelaySegmentSize:   min(s.cfg.SegmentSize, delaySegmentSize),
		EvacuateAfter:      orNever(s.cfg.EvacuateAfter),
		EvacuateRate:       s.cfg.EvacuateRate,
		PrefetchBytes:      orNever(s.cfg.PrefetchSize),
		Logger:             s.log,
		Registerer:         reg,
	}
	if s.cfg.KeyIndex {
		o.Keys = broker.Keys
	}
	if s.cfg.Flush == FlushAsync {
		o.Flush = commitlog.Async
	}
	if s.cfg.Writer == WriterMmap {
		o.Writer = segment.Mmap
	}
	return o
}

// orNever is a setting for which 0 means never as an option of the store, for which 0
// is the default.
func orNever[T ~int64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

// wireUp builds what answers requests.
func (s *Server) wireUp(reg *prometheus.Registry) error {
	s.router = &router{broker: s.broker, namesrv: namesrv.New(s.broker)}
	s.wire = remoting.NewServer(s.router, &remoting.ServerOptions{
		MaxFrame:    maxFrame,
		MaxOutBytes: maxOutBytes(s.cfg.MaxMessageSize),
		MaxConns:    maxConns(),
		Logger:      s.log,
	})
	s.admin = newAdmin(adminHandler(reg, probes{healthy: s.healthy, ready: s.readiness}, s.cfg.Pprof), s.log)
	m := newProcessMetrics(s.cfg, s.wire.Stats, s.store.Stats)
	if err := reg.Register(m); err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	s.unregister = func() { reg.Unregister(m) }
	return nil
}

// Addrs returns the addresses that New took.
func (s *Server) Addrs() Addrs { return s.addrs }

// Ready tells whether requests are being served.
func (s *Server) Ready() bool { return s.ready.Load() }

// Serve answers requests until ctx ends or a listener breaks, and then stops
// gracefully. It returns nil for a stop that was asked for. Call it once.
func (s *Server) Serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	// Set first: whoever can ask is answered by a server that has everything.
	s.ready.Store(true)
	for _, l := range s.listeners.wire() {
		g.Go(func() error { return s.serveWire(l) })
	}
	g.Go(func() error { return s.admin.serve(s.listeners.admin) })
	if err := s.announce(); err != nil {
		s.log.Warn("print banner", "error", err)
	}
	if s.cfg.Demo {
		g.Go(func() error { return s.runDemo(ctx) })
	}
	g.Go(func() error {
		<-ctx.Done()
		return s.Close()
	})
	return g.Wait()
}

// serveWire returns an error only when the listener broke by itself.
func (s *Server) serveWire(l net.Listener) error {
	if err := s.wire.Serve(l); !errors.Is(err, remoting.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}
