package tools

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// requireGone checks that nothing that was recalled waits in a store.
func (w *wholeStore) requireGone(t *testing.T, dir string) {
	t.Helper()
	waiting := waitingIn(t, dir)
	require.Len(t, waiting, len(w.pending))
	for key := range w.cancelled {
		require.False(t, waiting[key], "%s was recalled", key)
	}
}

// Whatever is made of a store, what was recalled stays away: out of an export, a copy, a
// copy of that, and indexes that are made anew.
func TestRecalledMessagesStayAway(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	w.requireGone(t, w.dir)
	first, _ := repaired(t, w.dir, ExitOK)
	w.requireGone(t, first)
	second, _ := repaired(t, first, ExitOK)
	w.requireGone(t, second)

	o := fixtureOptions()
	o.Keys = broker.Keys
	_, err := store.Rebuild(first, o)
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(second, store.ManifestName)))
	third, _ := repaired(t, second, ExitOK)
	for _, dir := range []string{first, third} {
		waiting := waitingIn(t, dir)
		s := openCopy(t, dir)
		require.NoError(t, s.Settle(t.Context()))
		visible := slotsOf(t, s)
		for key := range w.cancelled {
			require.NotContains(t, visible, key)
			require.NotContains(t, waiting, key)
		}
		for key := range w.pending {
			_, seen := visible[key]
			require.True(t, waiting[key] || seen, key)
		}
	}
}

func TestRepairTellsWhichRecallsAreLost(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	log := filepath.Join(w.dir, segmentPath(store.CancelLane, 0))
	whole, err := os.ReadFile(log)
	require.NoError(t, err)
	end := int(w.m.Segments[store.CancelLane][0].End)
	for name, change := range map[string]func() error{
		"overwritten": func() error { return os.WriteFile(log, append(make([]byte, end), whole[end:]...), 0o644) },
		"cut":         func() error { return os.Truncate(log, 40) },
		"missing":     func() error { return os.Remove(log) },
	} {
		require.NoError(t, change(), name)
		_, report := repaired(t, w.dir, ExitFindings)
		require.Regexp(t, `(?m)^recall,,,,,,,"?`+segmentPath(store.CancelLane, 0)+` at 0: `, report, name)
		require.Contains(t, report, "of the cancel log not all can be read", name)
		require.NoError(t, os.WriteFile(log, whole, 0o644))
	}
}

// A broker that was down for longer than messages are kept has not delivered them.
func TestRepairWithoutAManifestKeepsWhatWasNeverDelivered(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	start := testNow.Add(-80 * time.Hour)
	o := fixtureOptions()
	o.Clock = store.NewManualClock(start)
	s, err := store.Open(dir, o)
	require.NoError(t, err)
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	f := newFixture(t, "")
	for i := range 20 {
		r := f.record(fmt.Sprintf("LATE%02d", i), true, 0)
		m := &store.Message{Queue: q, FireMs: start.Add(time.Duration(i+1) * time.Minute).UnixMilli(), Tag: r.Tag, Key: r.Key, Payload: r.Payload}
		_, err := s.Put(t.Context(), m)
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(filepath.Join(dir, store.ManifestName)))
	copied, report := repaired(t, dir, ExitOK)
	require.Contains(t, report, "20 are pending, 0 visible. 0 messages are lost")
	require.Contains(t, report, "of 20 messages that were due nobody knows whether they fired")
	require.Len(t, waitingIn(t, copied), 20)
	s = openCopy(t, copied)
	require.NoError(t, s.Settle(t.Context()))
	require.Len(t, slotsOf(t, s), 20, "they are delivered as soon as the store is open")
}

// TestRepairOfASealedSegmentThatWasCut cuts segments anywhere: in the seal, in a frame, at
// the end of one, and in damage.
func TestRepairOfASealedSegmentThatWasCut(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	for _, lane := range []uint8{0, 1} {
		name := segmentPath(lane, 0)
		path := filepath.Join(w.dir, name)
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		end := int(w.m.Segments[lane][0].End)
		for _, left := range []int{0, 20, 100, 9500, end - 9000, end - 40, end - 33, end - 32, end - 20, end - 1} {
			b := append([]byte(nil), whole[:left]...)
			require.NoError(t, os.WriteFile(path, b, 0o644))
			copied, report := repaired(t, w.dir, ExitFindings)
			w.requireKept(t, w.dir, copied, false, fmt.Sprintf("%s cut to %d of %d", name, left, end))
			require.Contains(t, report, "of the log cannot be read")
			require.NoError(t, os.RemoveAll(copied))
		}
		require.NoError(t, os.WriteFile(path, whole, 0o644))
	}
}
