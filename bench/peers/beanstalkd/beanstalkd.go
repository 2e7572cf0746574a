// Package beanstalkd drives the work queue beanstalkd, whose jobs can have a
// delay in whole seconds.
//
// A message is a job whose delay is rounded up to the next second, so that it is
// never early. Its priority is its due time in seconds: of the jobs that are
// ready the one that was due first is then handed out first, which by default is
// the one that was put first. Each consumer holds one connection, because a
// reservation blocks its connection, and deletes a job together with the request
// for the next.
//
// Durable is the binlog with an fsync for each write (-f0). Stock is the binlog
// as it is when switched on, with an fsync every 50 ms. Without -b, which is how
// beanstalkd comes, nothing would be written.
package beanstalkd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/child"
	"github.com/duelog/duelog/bench/peers/consume"
	"github.com/duelog/duelog/bench/peers/install"
	"github.com/duelog/duelog/bench/peers/pipeline"
)

// System implements bench.System and bench.Statser.
type System struct {
	program   install.Program
	mode      bench.Mode
	dir       string
	port      int
	version   string
	server    *child.Process
	consumers consume.Group
}

// New is a bench.Constructor.
func New(m bench.Mode) (bench.System, error) {
	program, err := install.Find("beanstalkd")
	if err != nil {
		return nil, err
	}
	return &System{program: program, mode: m}, nil
}

// Name returns "beanstalkd".
func (s *System) Name() string { return "beanstalkd" }

// Start implements bench.System.
func (s *System) Start(ctx context.Context, dir string) error {
	port, err := child.FreePort(0)
	if err != nil {
		return err
	}
	s.dir, s.port = dir, port
	return s.Restart(ctx)
}

// Restart implements bench.System.
func (s *System) Restart(ctx context.Context) error {
	data := filepath.Join(s.dir, "binlog")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	args := []string{"-l", child.Loopback, "-p", strconv.Itoa(s.port), "-b", data, "-z", strconv.Itoa(maxBody)}
	if s.mode == bench.Durable {
		args = append(args, "-f0")
	}
	server, err := child.Start(child.Options{
		Path: s.program.Path, Args: args, Env: s.program.Env, Log: filepath.Join(s.dir, "beanstalkd.log"),
	})
	if err != nil {
		return err
	}
	s.server = server
	return server.Await(ctx, s.ready)
}

// ready waits for an answer: connections are taken before the binlog is read.
func (s *System) ready(ctx context.Context) error {
	stats, err := s.stats(ctx)
	s.version = strings.Trim(stats["version"], `"`)
	return err
}

// stats returns the lines of the command stats.
func (s *System) stats(ctx context.Context) (map[string]string, error) {
	r, err := ask(ctx, s.port, "stats")
	if err != nil {
		return nil, err
	}
	if !r.is("OK") {
		return nil, r.err()
	}
	stats := make(map[string]string)
	for line := range strings.Lines(string(r.body)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			stats[key] = value
		}
	}
	return stats, nil
}

// Info implements bench.System.
func (s *System) Info() bench.Info {
	ack := "-f0: fsync before the reply"
	if s.mode == bench.Stock {
		ack = "after write, fsync at most every 50 ms"
	}
	return bench.Info{
		Version:    "beanstalkd " + s.version,
		Ack:        ack,
		Settings:   fmt.Sprintf("-b (default none) -z %d; %d consumers; priority is the due time", maxBody, consumers),
		Resolution: time.Second,
	}
}

// Place implements bench.System.
func (s *System) Place() bench.Place { return bench.Children }

// PIDs implements bench.System.
func (s *System) PIDs() []int { return []int{s.server.PID()} }

// Publisher implements bench.System. A batch is what is sent with one write.
func (s *System) Publisher(ctx context.Context, _ int, o bench.PublisherOptions) (bench.Publisher, error) {
	c, err := dial(ctx, s.port)
	if err != nil {
		return nil, fmt.Errorf("open a publisher: %w", err)
	}
	batch := o.Batch
	if batch == 0 {
		batch = defaultBatch
	}
	return pipeline.New(c.nc, c.r, codec{}, batch, o.Acked), nil
}

// Stats implements bench.Statser.
func (s *System) Stats(ctx context.Context) (bench.Stats, error) {
	stats, err := s.stats(ctx)
	if err != nil {
		return bench.Stats{}, err
	}
	pending, err := strconv.ParseInt(stats["current-jobs-delayed"], 10, 64)
	if err != nil {
		return bench.Stats{}, fmt.Errorf("%w: stats without current-jobs-delayed", errProtocol)
	}
	return bench.Stats{Pending: pending, StoredBytes: -1}, nil
}

// Kill9 implements bench.System.
func (s *System) Kill9() error {
	s.consumers.Forgive()
	return s.server.Kill()
}

// Close implements bench.System. It says when a consumer ended by itself.
func (s *System) Close() error {
	if s.server == nil {
		return nil
	}
	return errors.Join(s.consumers.Err(), s.server.Kill())
}
