package commitlog

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFullSegmentEndsWithASealFrame(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	put(t, l, "a", strings.Repeat("b", 4000))
	first := ln.own.registered()[0]
	require.True(t, first.Sealed)
	require.EqualValues(t, 57+FrameHeaderSize, first.End)
	require.Equal(t, first, l.Segments()[0])
	b, err := os.ReadFile(l.chain.Path(0))
	require.NoError(t, err)
	h, err := parseFrameHeader(b[57:])
	require.NoError(t, err)
	require.EqualValues(t, flagSeal, h.flags)
	require.NoError(t, h.verify(b[57:57+FrameHeaderSize]))
}

func TestSegmentWithoutRoomForASealFrameIsFollowedAllTheSame(t *testing.T) {
	for left := range FrameHeaderSize + 2 {
		ln := newLane(t, Options{})
		l, _ := ln.open()
		put(t, l, strings.Repeat("a", 4096-FrameHeaderSize-RecordHeaderSize-left), "next")
		require.NoError(t, l.Close())
		ln.own.segs[0].Sealed, ln.own.segs[0].End = false, 0
		_, s := ln.open()
		require.Len(t, s.payloads, 2, "%d bytes left", left)
		require.Empty(t, s.stats.Damaged, "%d bytes left", left)
		require.True(t, ln.own.registered()[1].Base == 4096)
	}
}

func TestOldSegmentRollsOnTheNextAppend(t *testing.T) {
	ln := newLane(t, Options{SegmentSize: 1 << 20, RollAfter: time.Second})
	l, _ := ln.open()
	ln.own.setNow(5000)
	put(t, l, "a")
	ln.own.setNow(5999)
	put(t, l, "b")
	require.Len(t, l.Segments(), 1)
	ln.own.setNow(6000)
	put(t, l, "c")
	require.Len(t, l.Segments(), 2)
	require.NoError(t, l.Close())
	_, s := ln.open()
	require.Equal(t, []string{"a", "b", "c"}, s.payloads)
}

func TestOldSegmentRollsWhenAskedAndTheNextOneIsLazy(t *testing.T) {
	ln := newLane(t, Options{SegmentSize: 1 << 20, RollAfter: time.Second})
	l, _ := ln.open()
	require.NoError(t, l.RollIfOld(1<<40), "nothing to roll")
	put(t, l, "a")
	require.NoError(t, l.RollIfOld(1999))
	require.False(t, l.Segments()[0].Sealed)
	require.NoError(t, l.RollIfOld(2000))
	require.True(t, l.Segments()[0].Sealed)
	require.EqualValues(t, 1<<20, l.Tail())
	require.Len(t, ln.own.registered(), 1)
	require.NoError(t, l.RollIfOld(1<<40))
	require.NoError(t, l.Close())

	l, s := ln.open()
	require.Equal(t, []string{"a"}, s.payloads)
	require.EqualValues(t, 1<<20, l.Tail())
	put(t, l, "b")
	require.NoError(t, l.Remove(0))
	require.NoError(t, l.Close())
	ln.own.segs = ln.own.segs[1:]
	_, s = ln.open()
	require.Equal(t, []string{"b"}, s.payloads)
}

func TestAgeOfTheOpenSegmentSurvivesReopening(t *testing.T) {
	ln := newLane(t, Options{SegmentSize: 1 << 20, RollAfter: time.Second})
	l, _ := ln.open()
	put(t, l, "a")
	require.NoError(t, l.Close())
	ln.own.setNow(2000)
	l, _ = ln.open()
	require.NoError(t, l.RollIfOld(2000))
	require.True(t, l.Segments()[0].Sealed)
}
