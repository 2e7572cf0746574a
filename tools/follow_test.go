package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// watched is the output of a verb that is running.
type watched struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// count is how often the output has a text, without reading it as rows each time.
func (w *watched) count(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Count(w.buf.Bytes(), []byte(text))
}

// values are the values of a field in a dump in the form of jsonl, in order.
func (w *watched) values(kind, field string) (out []string) {
	if w == nil {
		return nil
	}
	for line := range strings.Lines(w.String()) {
		var row struct {
			Kind, Field string
			Value       any
		}
		if json.Unmarshal([]byte(line), &row) == nil && row.Kind == kind && row.Field == field {
			out = append(out, fmt.Sprint(row.Value))
		}
	}
	return out
}

// follow runs a verb until what it prints is done, then interrupts it.
func follow(ctx context.Context, done func(*watched) bool, args ...string) (*watched, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var out, errs watched
	code := make(chan int, 1)
	go func() { code <- Execute(ctx, args, Process{Out: &out, Err: &errs}) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done(&out) {
		select {
		case c := <-code:
			return nil, fmt.Errorf("%v ended with code %d: %s", args, c, errs.String())
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
	cancel()
	if c := <-code; c != ExitOK {
		return nil, fmt.Errorf("%v was interrupted with code %d: %s", args, c, errs.String())
	}
	return &out, nil
}

// A follower sees every message and every firing once, in order, while the store goes
// from segment to segment.
func TestFollowSeesEverythingOnceWhileTheStoreGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := store.NewManualClock(testNow)
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 64 << 10, DelaySegmentSize: 64 << 10, JournalSegmentSize: 64 << 10, FireBatch: 128, Flush: commitlog.Async, Clock: clock,
	})
	require.NoError(t, err)
	defer s.Close()
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	const n = 6000
	f := newFixture(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var keys, slots []string
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		for i := range n {
			r := f.record(fmt.Sprintf("M%d", i), true, testNow.UnixMilli()+int64(i)+1)
			if _, err := s.Put(ctx, &store.Message{Queue: q, FireMs: r.When, Payload: r.Payload}); err != nil {
				return err
			}
			if i%200 == 199 {
				clock.Advance(time.UnixMilli(r.When))
				if err := s.Settle(ctx); err != nil {
					return err
				}
			}
		}
		return nil
	})
	g.Go(func() error {
		all := func(w *watched) bool { return w.count(`"field":"UNIQ_KEY"`) >= n }
		w, err := follow(ctx, all, "inspect", "segment", dir, "--lane", "0", "--follow", "--quiet", "-o", "jsonl")
		keys = w.values("property", "UNIQ_KEY")
		return err
	})
	g.Go(func() error {
		all := func(w *watched) bool { return w.count(`"kind":"firing","field":"slot"`) >= n }
		w, err := follow(ctx, all, "inspect", "journal", dir, "--follow", "--quiet", "-o", "jsonl")
		slots = w.values("firing", "slot")
		return err
	})
	require.NoError(t, g.Wait())
	var wantKeys, wantSlots []string
	for i := range n {
		wantKeys, wantSlots = append(wantKeys, fmt.Sprintf("M%d", i)), append(wantSlots, fmt.Sprint(i))
	}
	require.Equal(t, wantKeys, keys)
	require.Equal(t, wantSlots, slots)
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	require.Greater(t, len(m.Segments[0]), 3, "the lane went on to other segments")
	require.Greater(t, m.Segments[store.JournalLane][len(m.Segments[store.JournalLane])-1].Base, int64(0))
}

// Who stops a verb that follows ends it as it should end, at whatever moment.
func TestFollowEndsWellWheneverItIsInterrupted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeFixture(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, verb := range []string{"segment", "journal"} {
		code, _, errs := runWith(ctx, "inspect", verb, dir, "--follow")
		require.Equal(t, ExitOK, code, errs)
		code, _, errs = runWith(ctx, "inspect", verb, dir)
		require.Equal(t, ExitIO, code, "without it there is no result")
		require.Contains(t, errs, "interrupted")
	}
}

// A file that is complete has an end, and so has following it.
func TestFollowOfAFileEndsWithTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := newFixture(t, dir)
	r := f.record("ORD1", false, 0)
	f.frame(0, fixtureStart, []string{"ORD1"}, r)
	b := f.lanes[0]
	b = commitlog.AppendSeal(b, commitlog.MakeLoc(0, int64(len(b))), fixtureStart)
	f.write(segmentPath(0, 0), append(b, make([]byte, fixtureSegment-len(b))...))
	code, out, errs := run(t, "inspect", "segment", filepath.Join(dir, segmentPath(0, 0)), "--follow")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, "ORD1")
	require.Contains(t, errs, "is complete")
}
