package store

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

// firingsOf reads a payload of n entries.
func firingsOf(t *testing.T, payload []byte, n int) (fs []firing) {
	t.Helper()
	require.NoError(t, eachFiring(&commitlog.Frame{Payload: payload, Records: n}, func(at int, x firing) error {
		require.GreaterOrEqual(t, at, 16*len(fs)/2)
		fs = append(fs, x)
		return nil
	}))
	return fs
}

func TestJournalEntriesAreAsDocumented(t *testing.T) {
	fs := []firing{
		{loc: commitlog.MakeLoc(16, 300), slot: 2, queue: 1, size: 1024, tag: 7},
		{loc: commitlog.MakeLoc(0, 1<<56-1), slot: math.MaxInt64, queue: math.MaxUint32, size: math.MaxUint32, tag: math.MaxUint32},
	}
	b := appendFirings(nil, fs)
	require.Equal(t, []byte{16, 0xac, 2, 2, 1, 0x80, 8, 7, 0, 0, 0}, b[:11])
	require.LessOrEqual(t, len(b)-11, maxFiringSize)
	require.Equal(t, fs, firingsOf(t, b, 2))
}

func TestJournalOfFixedEntriesIsRead(t *testing.T) {
	le := binary.LittleEndian
	var b []byte
	for i := range uint32(2) {
		b = le.AppendUint64(b, uint64(commitlog.MakeLoc(2, 4096)))
		b = le.AppendUint64(b, uint64(i))
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, 3), 100), 9)
	}
	want := firing{loc: commitlog.MakeLoc(2, 4096), slot: 1, queue: 3, size: 100, tag: 9}
	require.Equal(t, want, firingsOf(t, b, 2)[1])
}

// TestJournalEntriesAreNeverTakenForFixedOnes makes a payload of the length of
// fixed entries.
func TestJournalEntriesAreNeverTakenForFixedOnes(t *testing.T) {
	long := firing{loc: commitlog.MakeLoc(1, 1<<55), slot: 1 << 50, queue: 1 << 27, size: 1 << 20, tag: 5}
	for appended := appendFiring(nil, &long); len(appended) != fixedFiringSize; appended = appendFiring(nil, &long) {
		long.slot >>= 7
		require.NotZero(t, long.slot)
	}
	b := appendFirings(nil, []firing{long})
	require.Len(t, b, fixedFiringSize+1)
	require.Equal(t, long, firingsOf(t, b, 1)[0])
}

func TestJournalFrameThatIsNoBatchIsAnError(t *testing.T) {
	one := appendFiring(nil, &firing{loc: 1, slot: 2, queue: 3, size: 4, tag: 5})
	for _, c := range []struct {
		payload []byte
		records int
	}{{one[:len(one)-1], 1}, {slices.Concat(one, []byte{0}), 1}, {slices.Concat(one, []byte{1}), 1}, {one, 2}, {nil, 1}} {
		err := eachFiring(&commitlog.Frame{Payload: c.payload, Records: c.records}, func(int, firing) error { return nil })
		require.Error(t, err, "%x", c.payload)
	}
}
