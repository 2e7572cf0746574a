// Package peers names the systems that duelog is compared with and fetches them.
// Each has a package of its own that says how it is used and what its two modes
// are; here is what they have in common.
//
// A driver starts the real server as a child process that listens on loopback
// only and keeps its files in the directory of the run. It speaks the server's
// protocol with a small client of its own, which pipelines as the best clients of
// that system do: no client library becomes a dependency of duelog.
//
// Nothing is downloaded behind anybody's back. A server that is not there makes
// its constructor fail with a line that says how to get it, which is [Install].
package peers

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/beanstalkd"
	"github.com/duelog/duelog/bench/peers/install"
	"github.com/duelog/duelog/bench/peers/nats"
	"github.com/duelog/duelog/bench/peers/postgres"
	"github.com/duelog/duelog/bench/peers/redis"
	"github.com/duelog/duelog/bench/peers/rocketmq"
)

// Systems returns the peers by name. The map is the caller's.
func Systems() bench.Systems {
	return bench.Systems{
		"beanstalkd":     beanstalkd.New,
		"nats":           nats.New,
		"postgres":       postgres.New,
		"redis":          redis.New,
		"rocketmq":       rocketmq.New,
		"rocketmq-100ms": rocketmq.New100ms,
	}
}

// fetch gets what a system lacks. It is called when the constructor has failed.
var fetch = map[string]func(context.Context, io.Writer) error{
	"beanstalkd":     debian("beanstalkd"),
	"nats":           install.BuildNATS,
	"postgres":       debian("postgresql"),
	"redis":          debian("redis-server"),
	"rocketmq":       install.FetchRocketMQ,
	"rocketmq-100ms": install.FetchRocketMQ,
}

func debian(packages ...string) func(context.Context, io.Writer) error {
	return func(ctx context.Context, log io.Writer) error { return install.Debian(ctx, log, packages...) }
}

// Install fetches those of the named peers that this machine does not have, and
// writes to log what it runs. It goes on after a failure: the result has a line
// for each peer that cannot be had, and is empty when all can. Names that are no
// peers are left alone.
func Install(ctx context.Context, log io.Writer, names ...string) map[string]error {
	failed := make(map[string]error)
	for _, name := range names {
		if err := installOne(ctx, log, name); err != nil {
			failed[name] = err
		}
	}
	return failed
}

func installOne(ctx context.Context, log io.Writer, name string) error {
	newSystem, get := Systems()[name], fetch[name]
	if newSystem == nil {
		return nil
	}
	if _, err := newSystem(bench.Durable); err == nil {
		return nil
	}
	if err := get(ctx, log); err != nil {
		return fmt.Errorf("install %s: %w", name, err)
	}
	_, err := newSystem(bench.Durable)
	return err
}

// Names returns the names of all peers, sorted.
func Names() []string { return slices.Sorted(maps.Keys(Systems())) }
