package commitlog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTheKernelIsAskedOncePerWindowAndMoment(t *testing.T) {
	var w warmth
	asked := 0
	answer := func(start int64, now time.Time, all bool) bool {
		return w.answer(start, now, func() bool { asked++; return all })
	}
	now := time.UnixMilli(1_800_000_000_000)
	require.True(t, answer(warmWindow, now, true))
	require.True(t, answer(warmWindow, now, false), "the first answer is believed")
	require.Equal(t, 1, asked)
	require.False(t, answer(2*warmWindow, now, false))
	require.False(t, answer(2*warmWindow, now, true), "so is a no")
	require.Equal(t, 2, asked)
	require.False(t, answer(warmWindow, now.Add(warmFor), false), "but only for a moment")
	require.Equal(t, 3, asked)
	require.True(t, answer((1+warmSlots)*warmWindow, now, true), "another window takes the slot")
	require.True(t, answer(warmWindow, now, true))
	require.Equal(t, 5, asked)
}

func TestWindowsOfDifferentSegmentsDiffer(t *testing.T) {
	now := time.UnixMilli(1_800_000_000_000)
	const page = 4096
	require.NotEqual(t, warmKey(0, now), warmKey(page, now))
	require.NotEqual(t, warmKey(1<<55, now), warmKey(1<<55+page, now))
	require.Zero(t, warmKey(1<<55+page, now)&warmAll)
}
