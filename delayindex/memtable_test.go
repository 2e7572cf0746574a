package delayindex

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachChunkKnowsItsOwnTimes(t *testing.T) {
	m := newMemtable(0)
	lane := makeEntries(2*chunkLen+10, 0, delays[0].fire)
	for i := 0; i < len(lane); i += 1000 {
		batch := lane[i:min(i+1000, len(lane))]
		m.add(batch, endOf(batch))
	}
	v := m.acquire()
	for i := range 3 {
		want := lane[i*chunkLen : min((i+1)*chunkLen, len(lane))]
		es, bounds := v.chunk(i)
		require.Equal(t, want, es)
		require.Equal(t, span{lo: want[0].fire(), hi: want[len(want)-1].fire()}, bounds)
	}
}

func TestViewIsNotChangedByLaterEntries(t *testing.T) {
	m := newMemtable(0)
	lane := makeEntries(3*chunkLen, 0, within(1))
	for _, n := range []int{10, chunkLen, chunkLen + 30, 2 * chunkLen} {
		m.add(lane[m.n:n], int64(n)*100)
		v := m.acquire()
		m.add(lane[n:n+20], int64(n+20)*100)
		require.Equal(t, int64(n), v.count(0, MaxFireMs))
		o := v.order(0, MaxFireMs, nil)
		got := make([]Entry, n+20)
		require.Equal(t, n, o.fill(got, 0))
		require.Equal(t, selected(lane[:n], 0, MaxFireMs), got[:n])
	}
}

func TestRangesExcludeTheirEnd(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(chunkLen+1, 0, delays[2].fire) // all at baseMs
	x.Add(lane, endOf(lane))
	check := func() {
		s := x.Snapshot()
		defer s.Release()
		require.Equal(t, int64(0), s.Count(0, baseMs))
		requireEntries(t, nil, s.Iter(0, baseMs))
		require.Equal(t, int64(len(lane)), s.Count(baseMs, baseMs+1))
		requireEntries(t, lane, s.Iter(baseMs, baseMs+1))
		require.Equal(t, int64(0), s.Count(baseMs+1, MaxFireMs))
		requireEntries(t, nil, s.Iter(baseMs+1, MaxFireMs))
	}
	check()
	require.True(t, x.Freeze())
	ri, wrote, err := x.Flush(nil)
	require.NoError(t, err)
	require.NoError(t, x.Install(ri, wrote))
	check()
}

func TestWholeHoursOfARunAreCountedExactly(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(1000, 0, within(100))
	addRun(t, x, lane)
	s := x.Snapshot()
	defer s.Release()
	hour := baseMs/hourMs*hourMs + 10*hourMs
	require.Equal(t, int64(len(selected(lane, hour, hour+5*hourMs))), s.Count(hour, hour+5*hourMs))
}
