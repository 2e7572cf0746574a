package store

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/keyindex"
)

func sampleEdit() edit {
	var e edit
	e.queue(7, queueKey{"orders", 3})
	e.queueExtent(7, 1, 2)
	e.segment(1, commitlog.SegmentInfo{Base: 4096, End: 5000, Sealed: true, Records: 3, MaxStoreMs: 4, MaxFireMs: 5, CreatedMs: 6, LastStoreMs: 7})
	e.givenBack(1, 4096, commitlog.Range{From: 4096, To: 4500})
	e.givenBack(1, 4096, commitlog.Range{From: 4500, To: 4600})
	e.units(1, 4096, 0, nil)
	e.units(1, 4096, 0, []unit{{5, 0}, {4, 9}})
	e.units(1, 4096, 1, []unit{{6, 0}, {1 << 31, 1<<32 - 1}})
	e.run(2, delayindex.RunInfo{Start: 1, End: 2, Count: 3, MinFireMs: 4, MaxFireMs: 5})
	e.indexed(2, 2)
	e.mark(mark{firedMs: 8, absorbed: [laneCount]int64{1, 2, 3, 4}})
	e.replay(replayPoint{journal: 9, lane0: 10})
	e.nextQueue(20)
	e.keyRun(2, keyindex.RunInfo{Start: 1, End: 2, Count: 3})
	e.keysUpTo(2, 2)
	e.run(farLane, delayindex.RunInfo{Start: 4096, End: 5000, Count: 3, MinFireMs: 4, MaxFireMs: 50})
	e.cut(4096, segmentCut{end: 8192, ms: 30})
	e.cold(cold.Info{Base: 4096, Size: 1, FileSize: 2, Records: 3, MinFireMs: 4, MaxFireMs: 5, DeadTo: 6, KeepMs: 7})
	return e
}

func TestEditsAddUpToTheStateTheyDescribe(t *testing.T) {
	want := newCatalogState()
	require.NoError(t, sampleEdit().apply(want))
	require.Equal(t, queueState{key: queueKey{"orders", 3}, min: 1, next: 2}, want.queues[7])
	require.EqualValues(t, 20, want.nextQueue)
	require.Equal(t, []commitlog.Range{{From: 4096, To: 4600}}, want.laneGiven(1))
	require.Equal(t, []unit{{5, 0}, {6, 9}, {1 << 31, 1<<32 - 1}}, want.deaths[1].segments[4096].units)
	require.EqualValues(t, 30, want.runs[farLane][0].CutMs)
	require.EqualValues(t, 7, want.cold[4096].KeepMs)
	got := newCatalogState()
	for _, e := range want.snapshot() {
		require.NoError(t, edit(e).apply(got))
	}
	require.Equal(t, want, got)

	var gone edit
	gone.queueGone(7)
	gone.segmentGone(1, 4096)
	gone.runGone(2, delayindex.RunInfo{Start: 1, End: 2})
	gone.keyRunGone(2, keyindex.RunInfo{Start: 1, End: 2})
	gone.coldGone(4096)
	gone.segmentGone(farLane, 4096)
	require.NoError(t, gone.apply(got))
	require.Equal(t, &keysState{upTo: 2}, got.keys[2])
	gone.keysUpTo(2, -1)
	require.NoError(t, gone.apply(got))
	require.Empty(t, got.queues)
	require.Empty(t, got.segments[1])
	require.Empty(t, got.given[1])
	require.Empty(t, got.deaths[1].segments)
	require.Empty(t, got.runs[2])
	require.Empty(t, got.keys)
	require.Empty(t, got.cold)
	require.Empty(t, got.cuts)
	require.Empty(t, got.runs[farLane], "what the cut hid does not come back")
	require.EqualValues(t, 20, got.nextQueue, "ids are never given twice")
}

func TestEditCutShortAnywhereIsAnError(t *testing.T) {
	whole := sampleEdit()
	for n := range whole {
		if err := whole[:n].apply(newCatalogState()); err != nil {
			require.ErrorIs(t, err, errEdit, "cut at %d", n)
		}
	}
}

// What has a good checksum was written by a program: one that knows more.
func TestEditOfANewerReleaseIsAVersionError(t *testing.T) {
	require.ErrorIs(t, edit{99}.apply(newCatalogState()), commitlog.ErrVersion)
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte(sampleEdit()))
	f.Add([]byte{opUnits, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1})
	f.Add([]byte{opMark, 0, 0, 0, 0, 0, 0, 0, 0, 200})
	f.Fuzz(func(t *testing.T, b []byte) {
		st := newCatalogState()
		if edit(b).apply(st) != nil {
			return
		}
		again := newCatalogState()
		for _, e := range st.snapshot() {
			require.NoError(t, edit(e).apply(again))
		}
	})
}

func FuzzJournalFrame(f *testing.F) {
	one := appendFiring(nil, &firing{loc: 1, slot: 2, queue: 3, size: 4, tag: 5})
	f.Add(one, 1)
	f.Add(one[:len(one)-1], 1)
	f.Add(append(one, 0), 1)
	f.Add(make([]byte, 2*fixedFiringSize), 2)
	f.Add(one, 2)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		var seen []firing
		visit := func(_ int, x firing) error {
			seen = append(seen, x)
			return nil
		}
		if eachFiring(&commitlog.Frame{Payload: b, Records: n}, visit) != nil || n < 1 {
			return
		}
		require.Len(t, seen, n)
		want := slices.Clone(seen)
		seen = nil
		for i := range want { // of fixed size they may be what the store never writes
			want[i].loc = commitlog.MakeLoc(want[i].loc.Lane(), want[i].loc.Offset())
			want[i].slot &= math.MaxInt64
		}
		again := appendFirings(nil, want)
		require.NoError(t, eachFiring(&commitlog.Frame{Payload: again, Records: n}, visit))
		require.Equal(t, want, seen)
		require.NotEqual(t, n*fixedFiringSize, len(again))
	})
}
