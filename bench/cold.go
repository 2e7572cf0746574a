package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/duelog/duelog/bench/probe"
	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// Cold measures messages that were stored days ago and are not in memory: how many a
// second come from disk, scattered, a block each, as a part of the random reads of the
// same blocks that the disk does at the same depth, and one after the other; and how
// much later other messages come while a burst of them is due. It uses package store as
// an embedder does. The messages are stored in simulated time, six days ago, and moved
// to cold files; bursts are then due in real time.
//
// The disk's figures, and each pair of what is compared, come from one run, round by
// round, so that they hold on a busy machine as far as anything does.
type Cold struct {
	N       int64 // messages in cold files; default 300,000
	Body    int   // bytes of JSON; default 1024
	Rounds  int   // of reading, and of bursts; default 5
	Burst   int64 // cold messages that are due within a second in each round; default 10,000
	Rate    int64 // of other messages per second; default 1000
	Readers int   // goroutines that read scattered messages; default 32

	// Shorter in tests: the time until the first burst is due, and of a round of bursts.
	lead, window time.Duration
}

// Name implements Workload.
func (w *Cold) Name() string { return "cold" }

func (w *Cold) params() map[string]any {
	return map[string]any{
		"n": w.N, "body": w.Body, "bodies": "json", "rounds": w.Rounds, "burst": w.Burst, "rate": w.Rate,
		"readers": w.Readers, "depth": coldDepth,
	}
}

func (w *Cold) size() int { return w.Body }

// messages is 0: what is measured is not to be in memory.
func (w *Cold) messages() int64 { return 0 }

func (w *Cold) check() error {
	for v, def := range map[*int64]int64{&w.N: 300_000, &w.Burst: 10_000, &w.Rate: 1000} {
		if *v == 0 {
			*v = def
		}
	}
	for v, def := range map[*int]int{&w.Body: 1024, &w.Rounds: 5, &w.Readers: 32} {
		if *v == 0 {
			*v = def
		}
	}
	if w.lead == 0 {
		w.lead, w.window = 20*time.Second+time.Duration(w.N/coldPerSecond)*time.Second, 6*time.Second
	}
	if w.N < 1000 || w.Body < minJSONBody || w.Body > 1<<20 || w.Rounds < 1 || w.Burst < 1 || w.Rate < 1 || w.Readers < 1 {
		return fmt.Errorf("cold wants 1000 messages, bodies of %d bytes to 1 MiB, and at least one of everything else", minJSONBody)
	}
	return nil
}

const (
	// coldDepth is how many blocks the store reads at a time.
	coldDepth = 16
	// coldAge is how long ago the messages were stored.
	coldAge = 6 * day
	// coldSegment is the bytes per segment: what is due in a second comes from many files.
	coldSegment = 8 << 20
	coldQueues  = 8
	// coldPerSecond is how many messages a slow machine fills and compacts in a second.
	coldPerSecond = 5_000
)

// errColdSlow is that everything took longer than there was time until the bursts.
var errColdSlow = errors.New("the bursts are due before everything is stored and read: the machine is too slow for so many messages")

// coldTries is how often a run begins anew with twice the time.
const coldTries = 5

func (w *Cold) run(ctx context.Context, s *stage) error {
	s.result.Version = "in this binary"
	lead := w.lead
	for try := 1; ; try++ {
		err := w.try(ctx, s, lead)
		if !errors.Is(err, errColdSlow) || try == coldTries {
			return err
		}
		lead *= 2
	}
}

// try is a run in which the bursts begin after lead.
func (w *Cold) try(ctx context.Context, s *stage, lead time.Duration) error {
	dir, err := os.MkdirTemp(s.opts.Dir, "duelog-bench-*")
	if err != nil {
		return fmt.Errorf("make directory for the store: %w", err)
	}
	defer os.RemoveAll(dir)
	now := time.Now()
	x := &coldRun{stage: s, Cold: w, dir: dir, start: now.Add(-coldAge), bursts: now.Add(lead).Truncate(time.Second)}
	defer func() {
		if x.store != nil {
			_ = x.store.Close() // after an error, which is told
		}
	}()
	before := meter{}.read()
	for _, step := range []func(context.Context) error{x.fill, x.findPlaces, x.readAll, x.burstAll} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	meter{}.since(before).addTo(&s.result, 0)
	err = x.store.Close()
	x.store = nil
	return err
}

// coldRun is a run of Cold.
type coldRun struct {
	*stage
	*Cold
	dir    string
	start  time.Time // of the simulated time in which the messages are stored
	bursts time.Time // when the first one is due
	store  *store.Store
	places []coldPlace
}

// open opens the store, in simulated time if there is a clock.
func (x *coldRun) open(clock *store.ManualClock) (err error) {
	x.store, err = store.Open(filepath.Join(x.dir, "data"), &store.Options{
		Clock: clock, Flush: commitlog.Async, DelaySegmentSize: coldSegment, EvacuateRate: 1 << 30,
	})
	return err
}

func (x *coldRun) queuesOf(topic string) ([]*store.Queue, error) {
	var out []*store.Queue
	for i := range int32(coldQueues) {
		q, err := x.store.Queue(topic, i)
		if err != nil {
			return nil, err
		}
		out = append(out, q)
	}
	return out, nil
}

// dueOf is when message id is due: those of the bursts come first, each in the second
// half of its round, the others not before the run is over.
func (x *coldRun) dueOf(id int64) time.Time {
	if round := id / x.Burst; round < int64(x.Rounds) {
		at := x.bursts.Add(time.Duration(round)*x.window + x.window/2)
		return at.Add(time.Duration(id%x.Burst) * time.Second / time.Duration(x.Burst))
	}
	return x.start.Add(20*day + between(scramble(uint64(id)), 0, 300*day))
}

// fill stores all messages in simulated time, in an order that has nothing to do with
// that of their times, and lets them be moved to cold files.
func (x *coldRun) fill(ctx context.Context) error {
	clock := store.NewManualClock(x.start)
	if err := x.open(clock); err != nil {
		return err
	}
	queues, err := x.queuesOf("cold")
	if err != nil {
		return err
	}
	total := x.N + x.Burst*int64(x.Rounds)
	// So that each file has a part of each burst.
	stride := total/1009 + 1
	c := &coldPuts{}
	var body []byte
	for i, done := int64(0), int64(0); i < stride; i++ {
		for id := i; id < total; id += stride {
			body = jsonBody(body, uint64(id), x.Body)
			c.Add(1)
			m := store.Message{Queue: queues[id%coldQueues], FireMs: x.dueOf(id).UnixMilli(), Key: uint32(id), Payload: body}
			if err := x.store.PutAsync(&m, c, uint64(id)); err != nil {
				return fmt.Errorf("put: %w", err)
			}
			done++
		}
		if x.progress("fill", done, total); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	c.Wait()
	if c.err != nil {
		return fmt.Errorf("put: %w", c.err)
	}
	x.progress("compact", 0, 0)
	clock.Advance(x.start.Add(7 * time.Hour))
	if err := errors.Join(x.store.Settle(ctx), x.store.Maintain(ctx), x.store.Close()); err != nil {
		return err
	}
	x.store = nil
	if time.Now().After(x.bursts) {
		return errColdSlow
	}
	return x.open(nil)
}

// coldPuts is a store.Completer that waits for all and keeps an error.
type coldPuts struct {
	sync.WaitGroup
	mu  sync.Mutex
	err error
}

// PutDone implements store.Completer.
func (c *coldPuts) PutDone(_ uint64, _ store.Result, err error) {
	if err != nil {
		c.mu.Lock()
		c.err = err
		c.mu.Unlock()
	}
	c.Done()
}

// coldID is the id that a body begins with. To check all of it would take longer than
// reading it does.
func coldID(body []byte) (int64, error) {
	const head = `{"id":`
	if len(body) > len(head) && string(body[:len(head)]) == head {
		if end := bytes.IndexByte(body, ','); end > 0 {
			if id, err := strconv.ParseInt(string(body[len(head):end]), 10, 64); err == nil {
				return id, nil
			}
		}
	}
	return 0, &VerdictError{Verdict: Verdict{Altered: 1}}
}

// coldCPU is the CPU time of this process so far.
func coldCPU() time.Duration {
	u, _ := probe.Self()
	return u.CPU
}
