package store

import (
	"encoding/hex"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

// Part of the file format; see appendUnits.
func TestUnitsInTheManifestHaveTheseBytes(t *testing.T) {
	var e edit
	e.units(2, 1<<20, 3, []unit{{100, 0}, {90, 7}})
	require.Equal(t, "0d02"+"0000100000000000"+"03000000"+"05000000"+"c801"+"00"+"13"+"0e", hex.EncodeToString(e))
}

func TestMalformedUnitsAreAnError(t *testing.T) {
	for name, b := range map[string][]byte{
		"half a unit":    {2},
		"before 1970":    {1, 0},
		"no varint":      {0x80},
		"beyond 32 bits": append(appendUnits(nil, []unit{{1<<32 - 1, 0}}), 2, 0),
	} {
		_, err := parseUnits(b)
		require.ErrorIs(t, err, errUnits, name)
	}
	long := edit{opUnits, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	require.ErrorIs(t, long.apply(newCatalogState()), errEdit)
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "no memory for what is not there")
	for name, first := range map[string]uint32{"gap": 1, "far": 1<<32 - 1} {
		var e edit
		e.units(1, 0, first, []unit{{1, 1}})
		require.ErrorIs(t, e.apply(newCatalogState()), errEdit, name)
	}
}

func FuzzUnits(f *testing.F) {
	f.Add(appendUnits(nil, []unit{{100, 0}, {90, 7}, {1<<32 - 1, 1<<32 - 1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		us, err := parseUnits(b)
		if err != nil {
			return
		}
		again, err := parseUnits(appendUnits(nil, us))
		require.NoError(t, err)
		require.Equal(t, us, again)
	})
}

// What the MANIFEST gets by and by is what there is, whichever commits fail on the way.
func TestChangedUnitsReachTheManifestOnce(t *testing.T) {
	const u = commitlog.GiveBackUnit
	live := newDeaths()
	live.segmentSize = 64 * u
	require.NoError(t, live.register(0, 0, nil))
	st := newCatalogState()
	var e edit
	e.units(1, 0, 0, nil)
	step := func(committed bool) (bytes int) {
		n := len(e)
		live.changed(&e, 1, 0)
		if bytes = len(e) - n; !committed {
			e = e[:n]
			return bytes
		}
		live.registered()
		require.NoError(t, e.apply(st))
		require.Equal(t, live.segments[0].units, st.deaths[1].segments[0].units)
		e = nil
		return bytes
	}
	live.note(0, 3*u, unit{fireSec: 5})
	live.note(30*u, 31*u, unit{fireSec: 6})
	require.NotZero(t, step(false))
	live.keepFor(u, u+1, 9000)
	require.NotZero(t, step(true))
	require.Zero(t, step(true))
	live.keepFor(u, u+1, 9000)
	require.Zero(t, step(true), "nothing new")
	live.keepFor(0, 1, 7000)
	live.keepFor(29*u, 29*u+1, 7000)
	require.Less(t, step(true), 60, "what lies between is not written again")

	live.note(64*u, 65*u, unit{fireSec: 5}) // a segment that the MANIFEST does not know
	live.changed(&e, 1, 64*u)
	require.Empty(t, e)
}

// A start knows what dies when, as if the process had gone on.
func TestARestartGivesBackWhatWouldHaveBeenWithoutIt(t *testing.T) {
	restarts := map[string]func(t *testing.T, s *Store, o *Options) *Store{
		"none": func(_ *testing.T, s *Store, _ *Options) *Store { return s },
		"stop": func(t *testing.T, s *Store, o *Options) *Store {
			require.NoError(t, s.Close())
			return mustOpen(t, s.dir, o)
		},
		"kill": func(t *testing.T, s *Store, o *Options) *Store {
			image := killed(t, s)
			require.NoError(t, s.Close())
			return mustOpen(t, image, o)
		},
	}
	// given is what was given back an hour after all but 10 messages have died.
	given := func(t *testing.T, limit int64, after time.Duration, restart func(t *testing.T, s *Store, o *Options) *Store) (given, log int64) {
		synctest.Test(t, func(t *testing.T) {
			o := retentionOptions()
			o.manifestLimit = limit
			s := mustOpen(t, testutil.FastDir(t), o)
			q := mustQueue(t, s, "orders", 0)
			start := time.Now()
			for i := range 2000 {
				fire := s.NowMs() + 25*hours
				if i%200 == 100 {
					fire = s.NowMs() + 95*hours
				}
				mustPut(t, s, q, fire, strings.Repeat("x", 1000))
			}
			time.Sleep(after)
			synctest.Wait()
			s = restart(t, s, o)
			time.Sleep(time.Until(start.Add((25 + 48 + 1) * time.Hour)))
			pass(t, s)
			s = restart(t, s, o)
			pass(t, s)
			given = givenBytes(s, 2)
			log = logBytes(t, s)
			require.EqualValues(t, 10, s.Pending())
			require.NoError(t, s.Close())
		})
		return given, log
	}
	want, wantLog := given(t, 0, time.Minute, restarts["none"])
	require.Greater(t, want, int64(1<<20))
	for _, how := range []string{"stop", "kill"} {
		for _, after := range []time.Duration{0, time.Minute, 20 * time.Hour} {
			for _, limit := range []int64{0, 1} {
				got, gotLog := given(t, limit, after, restarts[how])
				require.Equal(t, want, got, "%s after %v, MANIFEST of %d bytes", how, after, limit)
				require.Equal(t, wantLog, gotLog, "%s after %v, MANIFEST of %d bytes", how, after, limit)
			}
		}
	}
}

func givenBytes(s *Store, lane uint8) (bytes int64) {
	s.catalog.view(func(st *catalogState) { bytes = st.givenBytes(lane) })
	return bytes
}

// That a message fired late must outlive the process that fired it: its bytes live as
// long as its slot.
func TestBytesOfALateMessageLiveOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := retentionOptions()
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "orders", 0)
		body := strings.Repeat("x", 1000)
		for i := range 300 {
			fire := s.NowMs() + 5*24*hours
			if i == 150 {
				fire = s.NowMs() + 300*24*hours
			}
			mustPut(t, s, q, fire, body)
		}
		require.NoError(t, s.Close())
		time.Sleep(15 * 24 * time.Hour)
		s = mustOpen(t, s.dir, o) // ten days late
		pass(t, s)
		require.EqualValues(t, 299, s.LookupQueue("orders", 0).Max())
		require.NoError(t, s.Checkpoint(t.Context()))
		require.Zero(t, s.uncovered(), "the journal does not tell of it any more")
		image := killed(t, s)
		require.NoError(t, s.Close())
		s = mustOpen(t, image, o)
		time.Sleep(47 * time.Hour)
		pass(t, s)
		require.Len(t, payloads(t, s, s.LookupQueue("orders", 0)), 299)
		require.Zero(t, givenBytes(s, 3))
		time.Sleep(time.Hour)
		pass(t, s)
		require.NotZero(t, givenBytes(s, 3))
		require.NoError(t, s.Close())
	})
}

// Of a segment that an older release made nothing is known but when all of it is dead.
func TestASegmentWithoutUnitsDiesAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := retentionOptions()
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "orders", 0)
		put := func(days int64) Result { return mustPut(t, s, q, s.NowMs()+days*24*hours, strings.Repeat("x", 1000)) }
		for range 200 {
			put(5)
		}
		long := put(9)
		require.NoError(t, s.Close())
		forgetUnits(t, s.dir)
		s = mustOpen(t, s.dir, o)
		q = s.LookupQueue("orders", 0)
		for range 200 {
			put(5)
		}
		time.Sleep(10 * 24 * time.Hour)
		pass(t, s)
		require.True(t, readable(s, long))
		require.NotZero(t, givenBytes(s, 3), "what this process wrote behind it")
		time.Sleep(24 * time.Hour)
		pass(t, s)
		require.Zero(t, logBytes(t, s))
		require.NoError(t, s.Close())
	})
}

// forgetUnits makes the MANIFEST what an older release would have left.
func forgetUnits(t *testing.T, dir string) {
	t.Helper()
	c, err := openCatalog(dir, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	c.state.deaths = nil
	require.NoError(t, c.m.rewrite(c.state.snapshot()))
	require.NoError(t, c.close())
}
