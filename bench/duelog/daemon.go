package duelog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/child"
	"github.com/duelog/duelog/bench/wire"
)

// Daemon is a duelogd that is a child of this process.
type Daemon struct {
	name, path, flush string

	dir     string
	version string
	starts  int
	process *child.Process
	admin   string // URL
	topic   *wire.Topic
}

// Name implements bench.System.
func (d *Daemon) Name() string { return d.name }

// Start implements bench.System.
func (d *Daemon) Start(ctx context.Context, dir string) error {
	d.dir = dir
	if err := d.readVersion(ctx); err != nil {
		return err
	}
	addr, err := d.launch(ctx)
	if err != nil {
		return err
	}
	d.topic, err = wire.Create(ctx, wire.Options{Addr: addr, Topic: topicName, Queues: queues})
	return err
}

func (d *Daemon) readVersion(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, d.path, "version").Output()
	if err != nil {
		return fmt.Errorf("ask %s for its version: %w", d.path, err)
	}
	d.version = strings.TrimSpace(string(out))
	return nil
}

// startLimit bounds a start; it is far above what even a large store needs.
const startLimit = 5 * time.Minute

// launch starts the process and returns the broker's address.
func (d *Daemon) launch(ctx context.Context) (addr string, err error) {
	d.starts++
	log := filepath.Join(d.dir, fmt.Sprintf("duelogd-%d.log", d.starts))
	d.process, err = child.Start(child.Options{
		Path: d.path,
		Args: []string{
			"--data", filepath.Join(d.dir, "data"), "--flush", d.flush,
			"--listen", "127.0.0.1:0", "--namesrv-listen", "", "--admin-listen", "127.0.0.1:0",
		},
		Log: log,
	})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err = d.process.Await(ctx, func(context.Context) error {
		text, err := os.ReadFile(log)
		if err == nil {
			addr, d.admin, err = parseBanner(text)
		}
		return err
	})
	return addr, err
}

var (
	bannerBroker = regexp.MustCompile(`(?m)^  broker +(127\.0\.0\.1:\d+)`)
	bannerAdmin  = regexp.MustCompile(`(?m)^  admin +(http://127\.0\.0\.1:\d+)/metrics`)
	bannerEnd    = regexp.MustCompile(`(?m)^  stop +`)
)

// parseBanner finds the addresses in what duelogd prints when it is ready.
func parseBanner(text []byte) (broker, admin string, err error) {
	b, a := bannerBroker.FindSubmatch(text), bannerAdmin.FindSubmatch(text)
	if b == nil || a == nil || !bannerEnd.Match(text) {
		return "", "", errors.New("it has not said yet where it listens")
	}
	return string(b[1]), string(a[1]), nil
}

// Info implements bench.System.
func (d *Daemon) Info() bench.Info {
	ack := "fdatasync per batch"
	if d.flush == "async" {
		ack = "written; fdatasync every 200 ms or 4 MiB"
	}
	return bench.Info{Version: d.version, Ack: ack, Settings: "--flush " + d.flush}
}

// Place implements bench.System.
func (d *Daemon) Place() bench.Place { return bench.Children }

// PIDs implements bench.System.
func (d *Daemon) PIDs() []int { return []int{d.process.PID()} }

// Publisher implements bench.System.
func (d *Daemon) Publisher(ctx context.Context, _ int, o bench.PublisherOptions) (bench.Publisher, error) {
	return d.topic.Publisher(ctx, o)
}

// Subscribe implements bench.System.
func (d *Daemon) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	return d.topic.Subscribe(ctx, "bench", deliver)
}

// SubscribeGroup implements bench.Grouper.
func (d *Daemon) SubscribeGroup(ctx context.Context, group string, deliver func([]byte, time.Time)) (func(), error) {
	return d.topic.Subscribe(ctx, group, deliver)
}

// Kill9 implements bench.System.
func (d *Daemon) Kill9() error { return d.process.Kill() }

// Restart implements bench.System.
func (d *Daemon) Restart(ctx context.Context) error {
	addr, err := d.launch(ctx)
	if err == nil {
		d.topic.Move(addr)
	}
	return err
}

// Settle implements bench.Settler: a stop in order leaves nothing in memory.
func (d *Daemon) Settle(ctx context.Context) error {
	if err := d.process.Stop(syscall.SIGTERM, time.Minute); err != nil {
		return err
	}
	return d.Restart(ctx)
}

// Close implements bench.System.
func (d *Daemon) Close() error {
	if d.process == nil {
		return nil
	}
	return d.process.Kill()
}

// Stats implements bench.Statser with the broker's metrics.
func (d *Daemon) Stats(ctx context.Context) (bench.Stats, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.admin+"/metrics", nil)
	if err != nil {
		return bench.Stats{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return bench.Stats{}, err
	}
	defer resp.Body.Close()
	st := bench.Stats{Pending: -1, StoredBytes: -1}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if v, ok := sample(lines.Text(), "duelog_pending_messages"); ok {
			st.Pending = v
		}
		if v, ok := sample(lines.Text(), "duelog_stored_bytes"); ok {
			st.StoredBytes = max(st.StoredBytes, 0) + v
		}
	}
	return st, lines.Err()
}

// sample returns the value of a line of a metric, whatever its labels.
func sample(line, metric string) (int64, bool) {
	rest, ok := strings.CutPrefix(line, metric)
	if !ok || rest == "" || rest[0] != ' ' && rest[0] != '{' {
		return 0, false
	}
	v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
	return int64(v), err == nil
}
