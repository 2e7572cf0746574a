package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/testutil"
)

const day = 24 * time.Hour

// tick is how often whoever ticks ticks in tests in fake time that last a year.
const tick = 4 * time.Hour

func farOptions() *Options {
	return small(Options{clock: newPlainClock(tick), keeperTick: tick, horizon: 3 * tick, CheckpointEvery: tick})
}

// handOptions are the same for tests that evacuate by hand, with a key index.
func handOptions() *Options {
	o := farOptions()
	o.EvacuateAfter, o.Keys = -1, firstWord
	return o
}

// firstWord is the key of the messages of putFar: no two have the same.
func firstWord(payload []byte, dst []uint64) []uint64 {
	word, _, _ := strings.Cut(string(payload), " ")
	return append(dst, hashOf(word))
}

// far is a message that waits for days.
type far struct {
	fireMs  int64
	payload string
}

// putFar puts n messages whose delays lie between from and to.
func putFar(t testing.TB, s *Store, q *Queue, n int, from, to time.Duration) []far {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(n), uint64(from)))
	out := make([]far, n)
	c := make(countdown, n)
	for i := range out {
		fire := s.NowMs() + from.Milliseconds() + r.Int64N((to-from).Milliseconds()+1)
		out[i] = far{fire, fmt.Sprintf("%d@%d %s", i, fire, strings.Repeat(`{"item":"x","n":`+strconv.Itoa(i)+`}`, 1+i%60))}
		m := Message{Queue: q, FireMs: fire, Tag: 7, Key: uint32(i), Payload: []byte(out[i].payload)}
		if s.opts.Keys != nil {
			m.Keys = s.opts.Keys(m.Payload, nil)
		}
		require.NoError(t, s.PutAsync(&m, c, 0))
	}
	c.wait(t, n)
	slices.SortStableFunc(out, func(a, b far) int { return cmp.Compare(a.fireMs, b.fireMs) })
	return out
}

// requireFired checks that q has exactly the messages of want that are due, in order.
func requireFired(t testing.TB, s *Store, q *Queue, want []far, seen *int) {
	t.Helper()
	due, _ := slices.BinarySearchFunc(want, s.NowMs()+1, func(f far, ms int64) int { return cmp.Compare(f.fireMs, ms) })
	require.EqualValues(t, due, q.Max())
	require.EqualValues(t, len(want)-due, s.Pending())
	*seen = max(*seen, int(q.Min()))
	buf := make([]Delivery, 100)
	for *seen < due {
		n, err := q.Read(int64(*seen), buf)
		require.NoError(t, err)
		require.NotZero(t, n)
		for _, d := range buf[:n] {
			require.EqualValues(t, *seen, d.Slot)
			if d.Void {
				require.LessOrEqual(t, want[*seen].fireMs+(2*day).Milliseconds(), s.NowMs(), "only what is past its retention")
			} else {
				requireMessage(t, s, d, want[*seen])
			}
			*seen++
		}
	}
}

// requireMessage reads a message in both ways.
func requireMessage(t testing.TB, s *Store, d Delivery, want far) {
	t.Helper()
	require.GreaterOrEqual(t, d.DeliverMs, want.fireMs)
	byLoc, err := s.ReadAt(d.Loc)
	require.NoError(t, err, "slot %d at %v", d.Slot, d.Loc)
	bySize, err := s.Read(d.Loc, d.Size)
	require.NoError(t, err, "slot %d at %v", d.Slot, d.Loc)
	require.True(t, want.payload == string(byLoc.Bytes()) && want.payload == string(bySize.Bytes()),
		"slot %d: want %.20s got %.20s", d.Slot, want.payload, byLoc.Bytes())
	byLoc.Release()
	bySize.Release()
}

func cuts(s *Store) (out map[int64]segmentCut) {
	s.catalog.view(func(st *catalogState) { out = maps.Clone(st.cuts) })
	return out
}

// liveThrough goes through the life of all messages in steps of a day and a bit.
func liveThrough(t testing.TB, s *Store, q *Queue, want []far) {
	t.Helper()
	seen := 0
	for seen < len(want) {
		requireFired(t, s, q, want, &seen)
		time.Sleep(25 * time.Hour)
		synctest.Wait()
	}
}

func TestFarMessagesAreEvacuatedAndFireInOrderThroughAYearOfRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s := mustOpen(t, dir, farOptions())
		q := mustQueue(t, s, "far", 0)
		want := putFar(t, s, q, 1200, 5*day, 365*day)
		segments := len(s.lanes[farLane].log.Segments())
		require.Greater(t, segments, 2)
		time.Sleep(15 * time.Hour)
		synctest.Wait()
		require.Empty(t, s.lanes[farLane].log.Segments())
		require.Empty(t, s.lanes[farLane].index.Runs())
		u := s.cold.files.Usage()
		require.Equal(t, segments, u.Files)
		require.EqualValues(t, 1200, u.Records)
		require.EqualValues(t, 1200, s.Pending())
		st := s.Stats()
		require.Less(t, st.StoredBytes[BytesCold]*3, st.PayloadBytes)
		require.Equal(t, u.Bytes, st.StoredBytes[BytesCold])

		seen := 0
		for i := 0; seen < len(want); i++ {
			requireFired(t, s, q, want, &seen)
			time.Sleep(25 * time.Hour)
			synctest.Wait()
			if i%40 == 20 {
				require.NoError(t, s.Close())
				time.Sleep(time.Duration(i) * time.Hour) // some come due meanwhile
				s = mustOpen(t, dir, farOptions())
				q = s.LookupQueue("far", 0)
				time.Sleep(time.Second)
				synctest.Wait()
			}
		}
		time.Sleep(4 * day)
		synctest.Wait()
		require.Zero(t, s.cold.files.Usage())
		require.Empty(t, s.cold.index.Runs())
		require.Equal(t, q.Max(), q.Min())
		require.NoError(t, s.Close())
	})
}

func TestDeadColdMessagesGiveTheirBytesBackInTheMiddleOfTheYear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := farOptions()
		o.DelaySegmentSize = 4 << 20
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "far", 0)
		r := rand.New(rand.NewPCG(1, 1))
		for range 1000 { // does not compress, so that the holes are large
			body := make([]byte, 4000)
			for i := range body {
				body[i] = byte(r.Uint32())
			}
			mustPut(t, s, q, s.NowMs()+(5*day).Milliseconds()+r.Int64N((360*day).Milliseconds()), string(body))
		}
		time.Sleep(15 * time.Hour)
		synctest.Wait()
		all := s.cold.files.Usage().Bytes
		require.Greater(t, all, int64(3_900_000))
		time.Sleep(187 * day)
		synctest.Wait()
		u := s.cold.files.Usage()
		require.EqualValues(t, 1, u.Files)
		require.InDelta(t, all/2, u.Bytes, float64(all/8))
		require.NoError(t, s.Close())
	})
}

// ripen makes a store with full segments of far messages whose runs are flushed.
func ripen(t *testing.T, dir string, o *Options, n int, from, to time.Duration) (*Store, *Queue, []far) {
	t.Helper()
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "far", 0)
	want := putFar(t, s, q, n, from, to)
	time.Sleep(8 * time.Hour)
	synctest.Wait()
	return s, q, want
}

// TestCrashAtEveryStepOfAnEvacuationLeavesTheOldOrTheNew takes an image of the
// store between the steps of one evacuation and lives through a year with each.
func TestCrashAtEveryStepOfAnEvacuationLeavesTheOldOrTheNew(t *testing.T) {
	images := testutil.FastDir(t)
	var want []far
	var names []string
	image := func(s *Store, name string) {
		names = append(names, name)
		copyTree(t, s.dir, filepath.Join(images, name))
		require.NoError(t, os.Remove(filepath.Join(images, name, lockName)))
	}
	const until = 8 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		var s *Store
		s, _, want = ripen(t, testutil.FastDir(t), handOptions(), 600, 5*day, 50*day)
		l := s.lanes[farLane]
		info := l.log.Segments()[0]
		ev, ok := s.compactor.begin(l, info)
		require.True(t, ok)
		image(s, "before")
		require.NoError(t, ev.survey())
		require.True(t, ev.whole)
		require.NoError(t, ev.write())
		image(s, "files written")
		require.True(t, s.holdHorizon(ev.cutMs))
		require.NoError(t, s.catalog.commit(ev.edit()))
		image(s, "registered")
		require.NoError(t, ev.swap(nil, nil))
		s.freeHorizon()
		image(s, "done")
		require.NoError(t, s.Close())
	})
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(until)
				s := mustOpen(t, filepath.Join(images, name), farOptions())
				old := slices.ContainsFunc(s.lanes[farLane].log.Segments(), func(i commitlog.SegmentInfo) bool { return i.Base == 0 })
				registered := slices.ContainsFunc(s.cold.files.Infos(), func(i cold.Info) bool { return i.Base == 0 })
				require.NotEqual(t, old, registered, "exactly one of the two is there")
				require.Equal(t, name == "registered" || name == "done", registered)
				liveThrough(t, s, s.LookupQueue("far", 0), want)
				require.NoError(t, s.Close())
			})
		})
	}
}

func TestWhatFiresSoonStaysWhenEvacuationHasFallenBehind(t *testing.T) {
	for _, reopen := range []bool{false, true} {
		t.Run(fmt.Sprintf("reopen=%v", reopen), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := testutil.FastDir(t)
				s, _, want := ripen(t, dir, handOptions(), 1000, 5*day, 40*day)
				time.Sleep(10 * day) // a seventh has fired or fires soon
				synctest.Wait()
				require.NoError(t, s.compactor.run(true), "switched off")
				require.Empty(t, s.cold.files.Infos())
				require.NoError(t, s.Close())

				s = mustOpen(t, dir, farOptions())
				time.Sleep(tick + time.Hour)
				synctest.Wait()
				require.NotEmpty(t, cuts(s))
				require.NotEmpty(t, s.cold.files.Infos())
				if reopen {
					require.NoError(t, s.Close())
					s = mustOpen(t, dir, farOptions())
				}
				q := s.LookupQueue("far", 0)
				for _, ri := range s.lanes[farLane].index.Runs() {
					require.NotZero(t, ri.CutMs)
				}
				seen := 0
				requireFired(t, s, q, want, &seen)
				time.Sleep(4 * day)
				synctest.Wait()
				require.Empty(t, s.lanes[farLane].log.Segments(), "what stayed is dead")
				require.Empty(t, cuts(s))
				time.Sleep(30 * day)
				synctest.Wait()
				require.EqualValues(t, len(want), q.Max())
				for _, d := range deliveries(t, q) {
					requireMessage(t, s, d, want[d.Slot])
				}
				require.NoError(t, s.Close())
			})
		})
	}
}

// TestRunOfACutSegmentIsRebuiltWithoutWhatMoved damages the run that stayed.
func TestRunOfACutSegmentIsRebuiltWithoutWhatMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s, _, want := ripen(t, dir, handOptions(), 1000, 5*day, 40*day)
		time.Sleep(10 * day)
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, farOptions())
		time.Sleep(tick + time.Hour)
		synctest.Wait()
		pending := s.Pending()
		require.NotEmpty(t, cuts(s))
		require.NoError(t, s.Close())
		runs, err := filepath.Glob(filepath.Join(dir, indexDir, "3", "*.run"))
		require.NoError(t, err)
		require.NotEmpty(t, runs)
		b, err := os.ReadFile(runs[0])
		require.NoError(t, err)
		b[len(b)-10] ^= 1
		require.NoError(t, os.WriteFile(runs[0], b, 0o644))

		s = mustOpen(t, dir, farOptions())
		require.Equal(t, pending, s.Pending())
		q := s.LookupQueue("far", 0)
		time.Sleep(31 * day)
		synctest.Wait()
		require.EqualValues(t, len(want), q.Max())
		for _, d := range deliveries(t, q) {
			requireMessage(t, s, d, want[d.Slot])
		}
		require.NoError(t, s.Close())
	})
}

func TestDamagedColdRunIsRebuiltFromTheColdFiles(t *testing.T) {
	for _, at := range []int{-10, 100} { // seen by Open; seen when it is read
		t.Run(strconv.Itoa(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := testutil.FastDir(t)
				s, _, want := ripen(t, dir, farOptions(), 800, 5*day, 100*day)
				time.Sleep(6 * time.Hour)
				require.NoError(t, s.Close())
				runs, err := filepath.Glob(filepath.Join(dir, indexDir, "16", "*.run"))
				require.NoError(t, err)
				require.NotEmpty(t, runs)
				b, err := os.ReadFile(runs[1])
				require.NoError(t, err)
				b[(len(b)+at)%len(b)] ^= 1
				require.NoError(t, os.WriteFile(runs[1], b, 0o644))
				s = mustOpen(t, dir, farOptions())
				if at > 0 {
					for s.Err() == nil {
						time.Sleep(10 * time.Minute)
						synctest.Wait()
					}
					require.ErrorContains(t, s.Err(), "the next start rebuilds it")
					require.NoError(t, s.Close())
					s = mustOpen(t, dir, farOptions())
					time.Sleep(time.Second)
					synctest.Wait()
				}
				liveThrough(t, s, s.LookupQueue("far", 0), want)
				require.NoError(t, s.Close())
			})
		})
	}
}

// TestClockThatJumpsDuringAnEvacuationMovesNothingThatIsDue: the horizon passes
// what would move before the move is committed.
func TestClockThatJumpsDuringAnEvacuationMovesNothingThatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, q, want := ripen(t, testutil.FastDir(t), handOptions(), 800, 5*day, 60*day)
		l := s.lanes[farLane]
		ev, ok := s.compactor.begin(l, l.log.Segments()[0])
		require.True(t, ok)
		require.NoError(t, ev.survey())
		require.NoError(t, ev.write())
		time.Sleep(20 * day) // what the clock would do in a moment
		synctest.Wait()
		moved, err := ev.commit()
		require.NoError(t, err)
		require.False(t, moved)
		require.NoError(t, ev.discard())
		seen := 0
		requireFired(t, s, q, want, &seen)
		liveThrough(t, s, q, want)
		require.NoError(t, s.Close())
	})
}

// TestHorizonWaitsForAMoveUnderWay: while a move is being committed the horizon
// stays below it; afterwards all that moved fires from its new place.
func TestHorizonWaitsForAMoveUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := handOptions()
		o.horizon = 10 * time.Minute
		s, q, want := ripen(t, testutil.FastDir(t), o, 800, 5*day, 9*day)
		l := s.lanes[farLane]
		ev, ok := s.compactor.begin(l, l.log.Segments()[0])
		require.True(t, ok)
		ev.cutMs = want[0].fireMs
		require.NoError(t, ev.survey())
		require.True(t, ev.whole)
		require.NoError(t, ev.write())
		require.True(t, s.holdHorizon(ev.cutMs))
		time.Sleep(time.Until(time.UnixMilli(want[0].fireMs + 30_000)))
		synctest.Wait()
		s.near.mu.Lock()
		horizon := s.near.horizonMs
		s.near.mu.Unlock()
		require.LessOrEqual(t, horizon, ev.cutMs)
		require.Zero(t, q.Max())
		require.NoError(t, s.catalog.commit(ev.edit()))
		require.NoError(t, ev.swap(nil, nil))
		s.freeHorizon()
		time.Sleep(time.Second)
		synctest.Wait()
		seen := 0
		requireFired(t, s, q, want, &seen)
		require.NotZero(t, seen)
		liveThrough(t, s, q, want)
		require.NoError(t, s.Close())
	})
}

func TestColdMessagesThatFiredLateAreKeptFromTheirFiringOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s, _, want := ripen(t, dir, farOptions(), 800, 5*day, 8*day)
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		require.NotEmpty(t, s.cold.files.Infos())
		require.NoError(t, s.Close())
		time.Sleep(20 * day)
		s = mustOpen(t, dir, farOptions())
		q := s.LookupQueue("far", 0)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.EqualValues(t, len(want), q.Max())
		require.NoError(t, s.Checkpoint(context.Background()))
		require.NoError(t, s.Close())
		time.Sleep(30 * time.Hour)
		s = mustOpen(t, dir, farOptions())
		time.Sleep(tick + time.Hour)
		synctest.Wait()
		q = s.LookupQueue("far", 0)
		require.Len(t, payloads(t, s, q), len(want))
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		require.Zero(t, s.cold.files.Usage())
		require.NoError(t, s.Close())
	})
}

// noWayBack is a disk that takes nothing of the cold files back.
type noWayBack struct{}

// Do implements durable.Observer.
func (noWayBack) Do(op durable.Op, f *os.File, path, _ string, run func() error) error {
	if f != nil {
		path = f.Name()
	}
	if (op == durable.OpPunch || op == durable.OpRemove) && strings.Contains(path, filepath.Join(logDir, "16")) {
		return syscall.EIO
	}
	return run()
}

// TestColdSpaceThatCannotBeGivenBackCostsSpaceOnly: neither a hole nor a file that stays is
// in the way of anything.
func TestColdSpaceThatCannotBeGivenBackCostsSpaceOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), farOptions())
		q := mustQueue(t, s, "far", 0)
		incompressible(t, s, q, 100)
		time.Sleep(15 * time.Hour)
		synctest.Wait()
		files, err := filepath.Glob(filepath.Join(s.dir, logDir, "16", "*"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		func() {
			defer durable.Observe(noWayBack{})()
			time.Sleep(12 * day)
			synctest.Wait()
			require.NoError(t, s.Err())
			require.EqualValues(t, 100, q.Min())
			require.Zero(t, s.cold.files.Usage())
			require.FileExists(t, files[0])
			require.NoError(t, s.Close())
		}()
		s = mustOpen(t, s.dir, farOptions())
		require.NoFileExists(t, files[0])
		require.NoError(t, s.Close())
	})
}

func TestColdMessageForDay5IsGoneOnDay7WithItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := retentionOptions()
		o.EvacuateAfter = 6 * time.Hour
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "orders", 0)
		start := time.Now()
		mustPut(t, s, q, s.NowMs()+(5*day).Milliseconds(), "five days")
		mustPut(t, s, q, s.NowMs()+(30*day).Milliseconds(), "later")
		time.Sleep(7*day - time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, s.cold.files.Usage().Records)
		require.Equal(t, []string{"five days"}, payloads(t, s, q), "two days after its time, less a second")
		d := deliveries(t, q)[0]
		require.EqualValues(t, coldLane, d.Loc.Lane())
		require.Positive(t, int64(d.Loc))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Empty(t, payloads(t, s, q))

		time.Sleep(time.Until(start.Add(32*day)) - time.Second)
		synctest.Wait()
		require.Equal(t, []string{"later"}, payloads(t, s, q))
		time.Sleep(2 * time.Second)
		pass(t, s)
		require.Empty(t, payloads(t, s, q))
		require.Zero(t, s.cold.files.Usage())
		left, err := filepath.Glob(filepath.Join(s.dir, logDir, "16", "*"))
		require.NoError(t, err)
		require.Empty(t, left)
		_, err = s.Read(d.Loc, d.Size)
		require.ErrorIs(t, err, ErrNotFound)
		require.NoError(t, s.Close())
	})
}

// TestCancelledMessagesStayCancelledWhenTheirSegmentMoves cancels some before, some
// while and some after their segment is written to the cold file.
func TestCancelledMessagesStayCancelledWhenTheirSegmentMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s, _, want := ripen(t, dir, handOptions(), 300, 5*day, 60*day)
		gone := map[int64]bool{}
		cancel := func(first int) {
			i := 0
			for m, err := range s.PendingAfter(PendingPosition{}, endOfTime) {
				require.NoError(t, err)
				if i++; i%10 == first && !s.cancels.has(m.Loc) {
					require.NoError(t, s.Cancel(m.Loc))
					gone[m.FireMs] = true
				}
			}
		}
		cancel(1)
		l := s.lanes[farLane]
		ev, ok := s.compactor.begin(l, l.log.Segments()[0])
		require.True(t, ok)
		require.NoError(t, ev.survey())
		require.NoError(t, ev.write())
		require.NotEmpty(t, ev.ended)
		cancel(2)
		late := ev.lateCancels()
		require.NotEmpty(t, late)
		moved, err := ev.commit()
		require.NoError(t, err)
		require.True(t, moved)
		cancel(3)
		require.EqualValues(t, len(want)-len(gone), s.Pending())
		for _, m := range late {
			require.True(t, s.cancels.has(m.to))
			require.False(t, s.cancels.has(m.from))
		}
		require.NoError(t, s.Close())

		s = mustOpen(t, dir, farOptions())
		q := s.LookupQueue("far", 0)
		require.EqualValues(t, len(want)-len(gone), s.Pending())
		time.Sleep(61 * day)
		synctest.Wait()
		require.EqualValues(t, len(want)-len(gone), q.Max())
		require.Zero(t, s.Pending())
		require.NoError(t, s.Close())
	})
}

// TestCancellationForAMoveThatDidNotHappenHitsNobodyElse: the next attempt puts
// another message where the cancelled one would have been.
func TestCancellationForAMoveThatDidNotHappenHitsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s, _, want := ripen(t, dir, handOptions(), 100, 5*day, 60*day)
		l := s.lanes[farLane]
		ev, ok := s.compactor.begin(l, l.log.Segments()[0])
		require.True(t, ok)
		require.NoError(t, ev.survey())
		require.NoError(t, ev.write())
		var first PendingMessage
		for first = range s.PendingAfter(PendingPosition{}, endOfTime) {
			break
		}
		require.NoError(t, s.Cancel(first.Loc))
		require.NoError(t, s.writeMoved(ev.lateCancels(), cancelled)) // and here it stops
		image := filepath.Join(testutil.FastDir(t), "image")
		copyTree(t, dir, image)
		require.NoError(t, os.Remove(filepath.Join(image, lockName)))
		require.NoError(t, ev.discard())
		require.NoError(t, s.Close())

		for range 2 { // the second start knows of it as well
			s = mustOpen(t, image, handOptions())
			require.EqualValues(t, len(want)-1, s.Pending())
			if len(s.cold.files.Infos()) == 0 {
				require.NoError(t, evacuateOne(s))
			}
			require.EqualValues(t, len(want)-1, s.cold.files.Usage().Records)
			require.NoError(t, s.Close())
		}
		s = mustOpen(t, image, handOptions())
		time.Sleep(61 * day)
		synctest.Wait()
		require.EqualValues(t, len(want)-1, s.LookupQueue("far", 0).Max())
		require.NoError(t, s.Close())
	})
}

func TestEvacuatedMessagesAreFoundByTheirKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := func() *Options {
			o := farOptions()
			o.Keys = wordKeys
			return o
		}
		s := mustOpen(t, dir, o())
		q := mustQueue(t, s, "far", 0)
		for i := range 300 {
			putKeyed(t, s, q, s.NowMs()+(5*day).Milliseconds()+int64(i)*time.Hour.Milliseconds(), fmt.Sprintf("#k%d %s", i, strings.Repeat("x", 1000)))
		}
		find := func() {
			t.Helper()
			for i := range 300 {
				require.Len(t, lookup(t, s, fmt.Sprintf("#k%d", i)), 1, "key %d", i)
			}
			require.Empty(t, lookup(t, s, "#other"))
		}
		find()
		time.Sleep(15 * time.Hour)
		synctest.Wait()
		require.EqualValues(t, 300, s.cold.files.Usage().Records)
		find()
		require.NotEmpty(t, s.cold.lane.keys.Runs())
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, o())
		find()

		// A crash before the keys are flushed: the cold files are read again.
		image := filepath.Join(testutil.FastDir(t), "image")
		var e edit
		for _, ri := range s.cold.lane.keys.Runs() {
			e.keyRunGone(coldLane, ri)
		}
		e.keysUpTo(coldLane, 0)
		require.NoError(t, s.catalog.commit(e))
		copyTree(t, dir, image)
		require.NoError(t, os.Remove(filepath.Join(image, lockName)))
		require.NoError(t, s.Close())
		s = mustOpen(t, image, o())
		find()
		time.Sleep(20 * day)
		synctest.Wait()
		time.Sleep(tick)
		require.Zero(t, s.cold.files.Usage())
		s.kickKeys()
		synctest.Wait()
		require.Empty(t, s.cold.lane.keys.Runs())
		require.NoError(t, s.Close())
	})
}

func TestMessagesOfDeletedTopicsAreNotEvacuated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := farOptions()
		o.EvacuateAfter = 12 * time.Hour
		s, q, _ := ripen(t, testutil.FastDir(t), o, 500, 5*day, 60*day)
		gone := mustQueue(t, s, "gone", 0)
		putFar(t, s, gone, 500, 5*day, 60*day)
		require.NoError(t, s.DeleteTopic("gone"))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		require.EqualValues(t, 500, s.cold.files.Usage().Records)
		require.EqualValues(t, 500, s.Pending())
		time.Sleep(61 * day)
		synctest.Wait()
		require.EqualValues(t, 500, q.Max())
		require.Zero(t, s.Pending())
		require.NoError(t, s.Close())
	})
}

func TestManyRunsAreMergedAndNothingIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := func() *Options {
			o := farOptions()
			o.mergeAbove, o.MemtableEntries = 20, 20
			return o
		}
		s := mustOpen(t, dir, o())
		q := mustQueue(t, s, "near", 0)
		var want []far
		for range 60 { // lane 2
			want = append(want, putFar(t, s, q, 25, 60*time.Hour, 90*time.Hour)...)
		}
		slices.SortStableFunc(want, func(a, b far) int { return cmp.Compare(a.fireMs, b.fireMs) })
		time.Sleep(2*tick + time.Hour)
		synctest.Wait()
		require.LessOrEqual(t, len(s.lanes[2].index.Runs()), 20)
		require.NotEmpty(t, s.lanes[2].index.Runs())
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, o())
		time.Sleep(91 * time.Hour)
		synctest.Wait()
		require.EqualValues(t, len(want), s.LookupQueue("near", 0).Max())
		require.Equal(t, len(want), len(payloads(t, s, s.LookupQueue("near", 0))))
		require.NoError(t, s.Close())
	})
}

func TestColdRunsAreMergedAndNothingMovesToWhereTheyReach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := func() *Options {
			o := farOptions()
			o.mergeAbove = 3
			return o
		}
		s, _, want := ripen(t, dir, o(), 2500, 5*day, 100*day)
		time.Sleep(8 * time.Hour)
		synctest.Wait()
		require.Greater(t, s.cold.files.Usage().Files, 5)
		require.LessOrEqual(t, len(s.cold.index.Runs()), 3)
		putFar(t, s, mustQueue(t, s, "other", 0), 300, 5*day, 6*day)
		c := s.compactor
		require.False(t, c.overtaken(s.lanes[farLane].log.Segments()[0].Base))
		for _, ri := range s.cold.index.Runs() {
			require.True(t, c.overtaken(ri.End-1))
		}
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, o())
		q := s.LookupQueue("far", 0)
		time.Sleep(101 * day)
		synctest.Wait()
		require.EqualValues(t, len(want), q.Max())
		require.NoError(t, s.Close())
	})
}

func TestSmallestNeighboursAreMerged(t *testing.T) {
	runs := make([]delayindex.RunInfo, 10)
	for i, n := range []int64{9, 1, 8, 2, 2, 3, 9, 1, 1, 9} {
		runs[i] = delayindex.RunInfo{Start: int64(i), End: int64(i + 1), Count: n}
	}
	require.Equal(t, runs[3:6], smallestNeighbours(runs, 3))
	require.Equal(t, runs[7:9], smallestNeighbours(runs, 2))
	require.Equal(t, runs, smallestNeighbours(runs, 16))
}

// TestRunsOfTheFarLaneEndWithTheirSegment, also those that recovery makes.
func TestRunsOfTheFarLaneEndWithTheirSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s := mustOpen(t, dir, handOptions())
		q := mustQueue(t, s, "far", 0)
		want := putFar(t, s, q, 1000, 5*day, 60*day)
		image := filepath.Join(testutil.FastDir(t), "image")
		copyTree(t, dir, image)
		require.NoError(t, os.Remove(filepath.Join(image, lockName)))
		require.NoError(t, s.Close())
		s = mustOpen(t, image, handOptions())
		time.Sleep(tick + time.Hour)
		synctest.Wait()
		runs := s.lanes[farLane].index.Runs()
		require.Len(t, runs, len(s.lanes[farLane].log.Segments()))
		for _, ri := range runs {
			require.Equal(t, s.lanes[farLane].segmentBase(ri.Start), s.lanes[farLane].segmentBase(ri.End-1))
		}
		require.NoError(t, s.Close())
		s = mustOpen(t, image, farOptions())
		time.Sleep(15 * time.Hour)
		synctest.Wait()
		require.EqualValues(t, 1000, s.cold.files.Usage().Records)
		liveThrough(t, s, s.LookupQueue("far", 0), want)
		require.NoError(t, s.Close())
	})
}

// TestDamagedSegmentMovesAsItIs: a flipped byte costs one message its content, and
// no message its delivery.
func TestDamagedSegmentMovesAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s, _, _ := ripen(t, dir, handOptions(), 800, 5*day, 60*day)
		require.NoError(t, s.Close())
		path := filepath.Join(dir, logDir, "3", fmt.Sprintf("%020d", 0))
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		b[60] ^= 1 // in the first message
		require.NoError(t, os.WriteFile(path, b, 0o644))
		s = mustOpen(t, dir, farOptions())
		time.Sleep(tick + time.Hour)
		synctest.Wait()
		require.EqualValues(t, 800, s.cold.files.Usage().Records)
		require.Len(t, s.lanes[farLane].log.Segments(), 1, "the damaged one stays for a while")
		time.Sleep(61 * day)
		synctest.Wait()
		q := s.LookupQueue("far", 0)
		require.EqualValues(t, 800, q.Max())
		require.Empty(t, s.lanes[farLane].log.Segments())
		require.NoError(t, s.Close())
	})
}

func TestDamagedColdBlockCostsItsOwnMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s, _, want := ripen(t, dir, farOptions(), 800, 5*day, 30*day)
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		require.NoError(t, s.Close())
		path := filepath.Join(dir, logDir, "16", fmt.Sprintf("%020d", 0))
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		b[200] ^= 1 // in the first block
		require.NoError(t, os.WriteFile(path, b, 0o644))
		s = mustOpen(t, dir, farOptions())
		q := s.LookupQueue("far", 0)
		time.Sleep(6 * day)
		synctest.Wait()
		bad, good := 0, 0
		for _, d := range deliveries(t, q) {
			v, err := s.Read(d.Loc, d.Size)
			var corrupt *commitlog.CorruptionError
			if err != nil {
				require.ErrorAs(t, err, &corrupt)
				require.Equal(t, path, corrupt.Path)
				bad++
				continue
			}
			good++
			require.Equal(t, want[d.Slot].payload, string(v.Bytes()))
		}
		require.NotZero(t, bad)
		require.NotZero(t, good)
		require.NoError(t, s.Close())
	})
}
