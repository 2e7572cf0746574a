// Package redis drives Redis as people schedule with it: a sorted set of due
// times, a hash of bodies, and consumers that poll.
//
// A message is published in one transaction that adds its id to the set "due",
// with its due time in milliseconds as the score, and its body to the hash
// "body". A script claims what is due: it moves up to 500 ids from "due" to
// "lease" and returns their bodies. The consumer acknowledges by removing them
// from "lease" and "body". What was claimed and not acknowledged goes back to
// "due" when the next subscriber starts.
//
// Durable is the append-only file with an fsync before each reply (appendfsync
// always). Stock is the append-only file as it is when switched on, with an fsync
// a second. Without it, which is how Redis comes, nothing would survive a kill.
//
// Ids are eight bytes, big endian: members of equal score are then in the order
// of the ids.
package redis

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/child"
	"github.com/duelog/duelog/bench/peers/consume"
	"github.com/duelog/duelog/bench/peers/install"
	"github.com/duelog/duelog/bench/peers/pipeline"
)

// defaultBatch is how many messages share a transaction.
const defaultBatch = 256

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
	program, err := install.Find("redis-server")
	if err != nil {
		return nil, err
	}
	return &System{program: program, mode: m}, nil
}

// Name returns "redis".
func (s *System) Name() string { return "redis" }

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
	data := filepath.Join(s.dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return err
	}
	server, err := child.Start(child.Options{
		Path: s.program.Path,
		Args: []string{
			"--bind", child.Loopback, "--port", strconv.Itoa(s.port), "--dir", data,
			"--daemonize", "no", "--appendonly", "yes", "--appendfsync", s.fsync(),
		},
		Env: s.program.Env,
		Log: filepath.Join(s.dir, "redis.log"),
	})
	if err != nil {
		return err
	}
	s.server = server
	return server.Await(ctx, s.ready)
}

func (s *System) fsync() string {
	if s.mode == bench.Stock {
		return "everysec"
	}
	return "always"
}

// ready fails as long as Redis reads its files, for INFO is then answered with
// loading:1.
func (s *System) ready(ctx context.Context) error {
	info, err := s.info(ctx)
	if err != nil {
		return err
	}
	if info["loading"] != "0" {
		return errors.New("redis is reading its files")
	}
	s.version = info["redis_version"]
	return nil
}

// info returns what INFO says.
func (s *System) info(ctx context.Context) (map[string]string, error) {
	reply, err := s.ask(ctx, "INFO")
	if err != nil {
		return nil, err
	}
	text, _ := reply.([]byte)
	info := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[key] = value
		}
	}
	return info, nil
}

// ask sends one command over a connection of its own.
func (s *System) ask(ctx context.Context, args ...string) (any, error) {
	c, err := dial(ctx, s.port)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.nc.SetDeadline(deadline) // else it fails when the server ends
	}
	return c.do(appendCommand(nil, args...), 1)
}

// Info implements bench.System.
func (s *System) Info() bench.Info {
	ack := "appendfsync always: fsync before the reply"
	if s.mode == bench.Stock {
		ack = "appendfsync everysec: after write, fsync once a second"
	}
	return bench.Info{
		Version:  "Redis " + s.version,
		Ack:      ack,
		Settings: fmt.Sprintf("appendonly yes (default no); %d consumers poll every %s", consumers, pollEvery),
	}
}

// Place implements bench.System.
func (s *System) Place() bench.Place { return bench.Children }

// PIDs implements bench.System.
func (s *System) PIDs() []int { return []int{s.server.PID()} }

// Publisher implements bench.System.
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

// Stats implements bench.Statser. Stored is what the append-only file has.
func (s *System) Stats(ctx context.Context) (bench.Stats, error) {
	due, err := s.ask(ctx, "ZCARD", keyDue)
	if err != nil {
		return bench.Stats{}, err
	}
	info, err := s.info(ctx)
	if err != nil {
		return bench.Stats{}, err
	}
	pending, _ := due.(int64)
	stored, err := strconv.ParseInt(info["aof_current_size"], 10, 64)
	if err != nil {
		stored = -1
	}
	return bench.Stats{Pending: pending, StoredBytes: stored}, nil
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
	return errors.Join(s.consumers.Err(), s.server.Stop(syscall.SIGKILL, time.Second))
}
