// Package nats drives the message schedules of NATS JetStream (2.12 and later).
//
// A message is published to a subject of its own, "later.<id>", because a subject
// has one schedule at a time. Its headers ask the server to publish it again to
// "now" at its due time, to the millisecond. An ordinary message goes to "now"
// directly. Consumers share one durable pull consumer on "now" and acknowledge
// each message. Everything is one stream, unreplicated, in files, that keeps what
// was delivered, as is the default.
//
// Durable is sync_interval: always, an fsync before each acknowledgement. Stock is
// the default: acknowledged after the write, fsync every two minutes.
//
// The server waits at least 250 ms between two looks at its schedules.
package nats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/child"
	"github.com/duelog/duelog/bench/peers/consume"
	"github.com/duelog/duelog/bench/peers/install"
)

// Names of the stream and its subjects.
const (
	stream       = "duelog"
	subjectLater = "later."
	subjectNow   = "now"
)

// System implements bench.System, bench.Statser and bench.Grouper.
type System struct {
	program   install.Program
	mode      bench.Mode
	dir       string
	port      int
	server    *child.Process
	consumers consume.Group
}

// New is a bench.Constructor.
func New(m bench.Mode) (bench.System, error) {
	program, err := install.NATS()
	if err != nil {
		return nil, err
	}
	return &System{program: program, mode: m}, nil
}

// Name returns "nats".
func (s *System) Name() string { return "nats" }

// Start implements bench.System.
func (s *System) Start(ctx context.Context, dir string) error {
	port, err := child.FreePort(0)
	if err != nil {
		return err
	}
	s.dir, s.port = dir, port
	if err := os.WriteFile(s.configPath(), []byte(s.config()), 0o644); err != nil {
		return err
	}
	if err := s.Restart(ctx); err != nil {
		return err
	}
	return s.createStream(ctx)
}

func (s *System) configPath() string { return filepath.Join(s.dir, "nats.conf") }

func (s *System) config() string {
	durable := ""
	if s.mode == bench.Durable {
		durable = "sync_interval: always"
	}
	return fmt.Sprintf("listen: %q\nserver_name: peer\njetstream { store_dir: %q\n%s }\n",
		child.Address(s.port), filepath.Join(s.dir, "data"), durable)
}

// Restart implements bench.System.
func (s *System) Restart(ctx context.Context) error {
	server, err := child.Start(child.Options{
		Path: s.program.Path,
		Args: []string{"-c", s.configPath()},
		Log:  filepath.Join(s.dir, "nats.log"),
	})
	if err != nil {
		return err
	}
	s.server = server
	return server.Await(ctx, func(ctx context.Context) error {
		var any struct{}
		return s.request(ctx, "$JS.API.INFO", nil, &any)
	})
}

// createStream creates the stream that everything goes through.
func (s *System) createStream(ctx context.Context) error {
	var created struct{}
	return s.request(ctx, "$JS.API.STREAM.CREATE."+stream, map[string]any{
		"name":                stream,
		"subjects":            []string{subjectLater + "*", subjectNow},
		"retention":           "limits",
		"storage":             "file",
		"num_replicas":        1,
		"allow_msg_schedules": true,
	}, &created)
}

// request asks JetStream over a connection of its own.
func (s *System) request(ctx context.Context, subject string, in, out any) error {
	c, err := dial(ctx, s.port)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.request(ctx, subject, in, out)
}

// Info implements bench.System.
func (s *System) Info() bench.Info {
	ack := "sync_interval always: fsync before the acknowledgement"
	if s.mode == bench.Stock {
		ack = "after write, fsync every 2 min"
	}
	return bench.Info{
		Version:  "NATS " + install.NATSVersion,
		Ack:      ack,
		Settings: fmt.Sprintf("1 stream, 1 replica; %d pull consumers, max_ack_pending %d", consumers, maxAckPending),
	}
}

// Place implements bench.System.
func (s *System) Place() bench.Place { return bench.Children }

// PIDs implements bench.System.
func (s *System) PIDs() []int { return []int{s.server.PID()} }

// Stats implements bench.Statser. A consumer that is made for it counts what waits
// on the subjects of schedules.
func (s *System) Stats(ctx context.Context) (bench.Stats, error) {
	var info struct {
		State struct {
			Bytes int64 `json:"bytes"`
		} `json:"state"`
	}
	if err := s.request(ctx, "$JS.API.STREAM.INFO."+stream, nil, &info); err != nil {
		return bench.Stats{}, err
	}
	var counter struct {
		Name    string `json:"name"`
		Pending int64  `json:"num_pending"`
	}
	err := s.request(ctx, "$JS.API.CONSUMER.CREATE."+stream, consumerRequest(map[string]any{
		"ack_policy":         "none",
		"deliver_policy":     "all",
		"filter_subject":     subjectLater + "*",
		"inactive_threshold": time.Minute,
	}), &counter)
	if err != nil {
		return bench.Stats{}, err
	}
	var deleted struct{}
	err = s.request(ctx, "$JS.API.CONSUMER.DELETE."+stream+"."+counter.Name, nil, &deleted)
	return bench.Stats{Pending: counter.Pending, StoredBytes: info.State.Bytes}, err
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
