// Package postgres drives PostgreSQL as a queue: a table with an index on the due
// time, and consumers that poll with SKIP LOCKED.
//
//	CREATE TABLE message (due timestamptz NOT NULL, body bytea NOT NULL);
//	CREATE INDEX ON message (due);
//
// A batch is one INSERT, which is one commit. A consumer deletes up to 500 rows
// that are due, in a transaction that it commits after they are delivered, so that
// a crash gives them to another one.
//
// Durable and Stock are the same: PostgreSQL syncs its log at each commit unless
// told otherwise.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/child"
	"github.com/duelog/duelog/bench/peers/consume"
	"github.com/duelog/duelog/bench/peers/install"
)

const schema = `
CREATE TABLE message (due timestamptz NOT NULL, body bytea NOT NULL);
CREATE INDEX ON message (due);`

// System implements bench.System and bench.Statser.
type System struct {
	program   install.Program
	dir       string
	port      int
	user      *child.User
	version   string
	server    *child.Process
	consumers consume.Group
}

// New is a bench.Constructor. Both modes are the same.
func New(bench.Mode) (bench.System, error) {
	program, err := install.Find("postgres", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	// The other programs are beside the file, not beside a link to it in the PATH.
	if program.Path, err = filepath.EvalSymlinks(program.Path); err != nil {
		return nil, err
	}
	return &System{program: program}, nil
}

// Name returns "postgres".
func (s *System) Name() string { return "postgres" }

// Start implements bench.System.
func (s *System) Start(ctx context.Context, dir string) (err error) {
	s.dir = dir
	if s.port, err = child.FreePort(0); err != nil {
		return err
	}
	if s.user, err = child.Unprivileged("postgres", "nobody"); err != nil {
		return err
	}
	if err := s.initialize(ctx); err != nil {
		return err
	}
	if err := s.Restart(ctx); err != nil {
		return err
	}
	_, err = query(ctx, s.port, schema)
	return err
}

func (s *System) data() string { return filepath.Join(s.dir, "data") }

// initialize creates the files of a server whose only user needs no password.
func (s *System) initialize(ctx context.Context) error {
	if err := s.user.Own(s.dir); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(s.program.Path), "initdb"),
		"--pgdata", s.data(), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--no-locale", "--no-sync")
	cmd.Env = append(os.Environ(), s.program.Env...)
	cmd.Dir = s.dir
	s.user.Apply(cmd)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, child.LastLine(out))
	}
	return nil
}

// Restart implements bench.System.
func (s *System) Restart(ctx context.Context) error {
	server, err := child.Start(child.Options{
		Path: s.program.Path,
		Args: []string{
			"-D", s.data(), "-p", strconv.Itoa(s.port), "-c", "listen_addresses=" + child.Loopback,
			"-c", "unix_socket_directories=", "-c", "dynamic_shared_memory_type=mmap",
		},
		Env:  s.program.Env,
		Dir:  s.dir,
		Log:  filepath.Join(s.dir, "postgres.log"),
		User: s.user,
	})
	if err != nil {
		return err
	}
	s.server = server
	return server.Await(ctx, func(ctx context.Context) error {
		rows, err := query(ctx, s.port, "SHOW server_version")
		if err == nil && len(rows) == 1 {
			s.version = rows[0][0]
		}
		return err
	})
}

// Info implements bench.System.
func (s *System) Info() bench.Info {
	return bench.Info{
		Version: "PostgreSQL " + s.version,
		Ack:     "synchronous_commit on: log synced at commit",
		Settings: fmt.Sprintf("%d rows a commit unless set; %d consumers poll every %s",
			defaultBatch, consumers, pollEvery),
	}
}

// Place implements bench.System.
func (s *System) Place() bench.Place { return bench.Children }

// PIDs implements bench.System.
func (s *System) PIDs() []int { return []int{s.server.PID()} }

// Stats implements bench.Statser.
func (s *System) Stats(ctx context.Context) (bench.Stats, error) {
	rows, err := query(ctx, s.port, "SELECT count(*) FROM message WHERE due > now()")
	if err != nil || len(rows) != 1 {
		return bench.Stats{}, errors.Join(errors.New("count the messages"), err)
	}
	pending, err := strconv.ParseInt(rows[0][0], 10, 64)
	return bench.Stats{Pending: pending, StoredBytes: -1}, err
}

// Kill9 implements bench.System.
func (s *System) Kill9() error {
	s.consumers.Forgive()
	return s.server.Kill()
}

// Close implements bench.System. It says when a consumer ended by itself. A server
// that was killed has left a little shared memory, which goes too.
func (s *System) Close() error {
	if s.server == nil {
		return nil
	}
	err := s.server.Stop(syscall.SIGQUIT, 10*time.Second) // an immediate shutdown
	removeSharedMemory(filepath.Join(s.data(), "postmaster.pid"))
	return errors.Join(s.consumers.Err(), err)
}
