package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

// The keeper is in a long checkpoint while lane 1 freezes its memtables; its next
// round must not need what the waiting writer holds.
func TestWriterThatWaitsForTheKeeperDoesNotHoldItUp(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{MemtableEntries: 1, CheckpointEvery: time.Hour}))
	q := mustQueue(t, s, "a", 0)
	// A checkpoint that takes long: hold its lock while the keeper wants one.
	s.checkpointMu.Lock()
	s.queuesFull.Store(true)
	s.kickKeeper()
	time.Sleep(200 * time.Millisecond)
	done := make(chan error, 1)
	go func() {
		for range 20 {
			if _, err := s.Put(context.Background(), &Message{Queue: q, FireMs: s.NowMs() + 3*3600_000, Payload: []byte("x")}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	time.Sleep(500 * time.Millisecond)
	s.checkpointMu.Unlock() // the checkpoint goes on and ends
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Errorf("lane 1 is stuck: frozen memtables %d, nothing flushed 10 s after the checkpoint ended", s.lanes[1].index.Frozen())
	}
}

// What came due while the process was down for a week is kept for two days from
// when it fired, not from when it was due.
func TestMessageThatFiredLateIsKeptFromItsFiringOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := func() *Options {
			return small(Options{clock: newPlainClock(time.Hour), horizon: 12 * time.Hour})
		}
		s := mustOpen(t, dir, o())
		q := mustQueue(t, s, "orders", 0)
		mustPut(t, s, q, s.NowMs()+(90*time.Minute).Milliseconds(), "precious") // lane 0
		for range 600 {
			mustPut(t, s, q, s.NowMs()+(90*time.Minute).Milliseconds(), string(make([]byte, 1000)))
		}
		time.Sleep(time.Hour)
		require.NoError(t, s.Close())
		time.Sleep(7 * 24 * time.Hour)
		s = mustOpen(t, dir, o())
		q = s.LookupQueue("orders", 0)
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 601, q.Max())
		time.Sleep(2 * time.Minute)
		d := deliveries(t, q)
		require.Len(t, d, 601)
		lost := 0
		var first error
		for _, x := range d {
			v, err := s.Read(x.Loc, x.Size)
			if err != nil {
				lost++
				first = err
				continue
			}
			v.Release()
		}
		if lost > 0 {
			t.Errorf("%d of %d messages fired two minutes ago (retention 48 h) are gone: %v", lost, len(d), first)
		}
		require.NoError(t, s.Close())
	})
}

func TestTopicNameThatIsNoFileNameIsRefusedBeforeItIsRegistered(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, small(Options{}))
	_, err := s.Queue("FORMAT", 0)
	require.Error(t, err)
	require.NoError(t, s.Close())
	s, err = Open(dir, small(Options{}))
	require.NoError(t, err)
	_ = s.Close()
}

func TestTopicDeletedDuringRetentionIsNoError(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, 0, "x")
	all := s.registry.all()
	require.Len(t, all, 1)
	require.NoError(t, s.DeleteTopic("a"))
	s.trim(all[0], s.NowMs())
	require.NoError(t, s.Err())
}

// Retention is what makes room on a full disk.
func TestRetentionRunsThoughTheIndexCannotBeFlushed(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{CheckpointEvery: time.Hour, keeperTick: time.Hour}))
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, s.NowMs()+3600_000, "x")
	s.lanes[0].index.Freeze()
	dir := filepath.Join(s.dir, indexDir, "0")
	require.NoError(t, os.RemoveAll(dir))
	k := keeper{s: s, lastCheckpoint: time.Now(), lastRetention: time.Now().Add(-time.Hour)}
	before := k.lastRetention
	require.Error(t, k.run())
	require.True(t, k.lastRetention.After(before), "retention did not run")
	require.NoError(t, os.MkdirAll(dir, 0o755))
}

// With commitlog.Async a power loss may keep the journal and lose the lane. The
// locations that the journal knows must not be given to other messages.
func TestJournalAheadOfItsLaneAfterAPowerLossGivesNoLocationTwice(t *testing.T) {
	dir := testutil.FastDir(t)
	o := func() *Options { return small(Options{Flush: commitlog.Async, CheckpointEvery: time.Hour}) }
	s := mustOpen(t, dir, o())
	a := mustQueue(t, s, "a", 0)
	mustQueue(t, s, "b", 0)
	mustPut(t, s, a, s.NowMs()+20, "lost by the power loss")
	awaitMax(t, a, 1)
	image := filepath.Join(testutil.FastDir(t), "image")
	copyTree(t, dir, image)
	// The lane's page was not written back, the journal's was.
	seg := filepath.Join(image, logDir, "0", "00000000000000000000")
	require.NoError(t, os.WriteFile(seg, make([]byte, 256<<10), 0o644))
	s2 := mustOpen(t, image, o())
	b2, a2 := s2.LookupQueue("b", 0), s2.LookupQueue("a", 0)
	r, err := s2.Put(context.Background(), &Message{Queue: b2, FireMs: s2.NowMs() + 3600_000, Payload: []byte("for b, due in an hour.")})
	require.NoError(t, err)
	for _, d := range deliveries(t, a2) {
		v, err := s2.Read(d.Loc, d.Size)
		if err == nil {
			t.Errorf("queue a now delivers %q (loc %v = %v)", v.Bytes(), d.Loc, r.Loc)
			v.Release()
		}
	}
	image2 := filepath.Join(testutil.FastDir(t), "image2") // kill -9 only, within 10 s
	copyTree(t, image, image2)
	s3 := mustOpen(t, image2, o())
	if s3.Pending() != 1 {
		t.Errorf("after a kill -9 %d messages are pending, want 1: the message for b is lost", s3.Pending())
	}
}

func TestManifestRewriteWithoutSpaceIsPutOff(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, small(Options{CheckpointEvery: time.Hour, keeperTick: time.Hour}))
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, s.NowMs()+3600_000, "x")
	s.lanes[0].index.Freeze()
	// The file is over its limit and MANIFEST.tmp cannot be written.
	for s.catalog.m.size() < manifestLimit {
		var e edit
		for range 10000 {
			e.indexed(3, 0)
		}
		if s.catalog.m.size()+int64(len(e)) >= manifestLimit {
			require.NoError(t, s.catalog.m.append(e))
			break
		}
		require.NoError(t, s.catalog.commit(e))
	}
	tmp := filepath.Join(dir, manifestName+".tmp")
	require.NoError(t, os.Symlink("/dev/full", tmp))
	require.NoError(t, s.flushIndexes())
	require.Greater(t, s.catalog.m.size(), int64(manifestLimit))
	_ = os.Remove(tmp) // the rewrite may have removed it
	require.NoError(t, s.flushIndexes())
	require.NoError(t, s.Close())
	mustOpen(t, dir, small(Options{}))
}

func TestMemtableThatRecoveryBuiltIsFlushedAtItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s := mustOpen(t, dir, small(Options{clock: newPlainClock(time.Hour), horizon: 12 * time.Hour}))
		mustPut(t, s, mustQueue(t, s, "a", 0), s.NowMs()+(10*time.Hour).Milliseconds(), "x")
		image := filepath.Join(testutil.FastDir(t), "image")
		copyTree(t, dir, image)
		require.NoError(t, s.Close())
		s = mustOpen(t, image, small(Options{clock: newPlainClock(time.Hour), horizon: 12 * time.Hour}))
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if got := s.lanes[1].index.IndexedUpTo(); got == 0 {
			t.Errorf("5 h after recovery (MemtableAge 10 min) lane 1 is indexed up to %d of %d", got, s.lanes[1].log.Tail())
		}
		require.NoError(t, s.Close())
	})
}

func TestRunWithABadBlockIsRebuiltByTheNextStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := func() *Options {
			return small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Minute, horizon: 2 * time.Minute})
		}
		s := mustOpen(t, dir, o())
		q := mustQueue(t, s, "orders", 0)
		for i := range 5 {
			mustPut(t, s, q, s.NowMs()+3600_000+int64(i), fmt.Sprint(i))
		}
		require.NoError(t, s.Close())
		runs, _ := filepath.Glob(filepath.Join(dir, indexDir, "0", "*.run"))
		require.Len(t, runs, 1)
		b, _ := os.ReadFile(runs[0])
		b[70] ^= 1 // in the entries
		require.NoError(t, os.WriteFile(runs[0], b, 0o644))
		s = mustOpen(t, dir, o())
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.ErrorContains(t, s.Err(), "the next start rebuilds it")
		require.NoError(t, s.Close())

		s = mustOpen(t, dir, o())
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, payloads(t, s, s.LookupQueue("orders", 0)), 5)
		require.NoError(t, s.Close())
	})
}
