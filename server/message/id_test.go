package message

import (
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHashIsJavas(t *testing.T) {
	for s, want := range map[string]int32{
		"": 0, "t1": 3645, "TagA": 2598919, // measured on the reference broker
		"你好":  652829,
		"é":   233,
		"😀":   1772899,
		"a😀b": 57849694,
		"The quick brown fox jumps over the lazy dog": -609428141,
	} {
		require.Equal(t, want, Hash(s), s)
	}
	require.Equal(t, int64(3645), TagCode("t1"))
	require.Equal(t, int32(0xFFFD), Hash("\xff"))
}

func TestOffsetIDIsTheCapturedOne(t *testing.T) {
	const id = "7F000001000078C90000000000003C6E"
	host := netip.MustParseAddrPort("127.0.0.1:30921")
	require.Equal(t, id, OffsetID(host, 0x3C6E))
	h, off, err := ParseOffsetID(id)
	require.NoError(t, err)
	require.Equal(t, host, h)
	require.Equal(t, int64(0x3C6E), off)
}

func TestOffsetIDHoldsIPv6(t *testing.T) {
	host := netip.MustParseAddrPort("[fd00::2]:10911")
	id := OffsetID(host, -1)
	require.Len(t, id, 56)
	h, off, err := ParseOffsetID(id)
	require.NoError(t, err)
	require.Equal(t, host, h)
	require.Equal(t, int64(-1), off)
}

func TestParseOffsetIDRefusesOtherIDs(t *testing.T) {
	for _, id := range []string{
		"", "FD00", "ZZ000001000078C90000000000003C6E", "7F000001FFFF78C90000000000003C6E",
		"0102FC0000000127070B155F8200000001", // of a gRPC client
	} {
		_, _, err := ParseOffsetID(id)
		require.ErrorIs(t, err, ErrID, id)
	}
}

func FuzzParseOffsetID(f *testing.F) {
	f.Add("7F000001000078C90000000000003C6E")
	f.Fuzz(func(t *testing.T, id string) {
		if h, off, err := ParseOffsetID(id); err == nil && !h.Addr().Is4In6() {
			h2, off2, err := ParseOffsetID(OffsetID(h, off))
			require.NoError(t, err)
			require.Equal(t, h, h2)
			require.Equal(t, off, off2)
		}
	})
}

func TestUniqKeysDifferWithinAMillisecondAndAfterTheClockIsSetBack(t *testing.T) {
	now := time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)
	u := NewUniqKeys(netip.MustParseAddr("192.0.2.2"), 6886, 7)
	seen := map[string]bool{}
	for i := range 70_000 {
		if i == 100 {
			now = now.Add(-time.Hour)
		}
		k := string(u.Append(nil, now.UnixMilli()))
		require.Len(t, k, 32)
		require.False(t, seen[k], "key %d", i)
		seen[k] = true
	}
	require.Equal(t, "C00002021AE6"+"00000007", string(u.Append(nil, now.UnixMilli())[:20]))
}

func TestUniqKeysCountFromTheStartOfTheMonth(t *testing.T) {
	u := NewUniqKeys(netip.MustParseAddr("192.0.2.2"), 1, 1)
	clock := func(at time.Time) uint64 {
		ms, err := strconv.ParseUint(string(u.Append(nil, at.UnixMilli()))[20:28], 16, 32)
		require.NoError(t, err)
		return ms
	}
	start := time.Date(2026, 12, 1, 0, 0, 0, 0, time.Local)
	require.EqualValues(t, time.Duration(30*24*time.Hour-time.Second).Milliseconds(), clock(start.Add(-time.Second)))
	require.Zero(t, clock(start))
	require.EqualValues(t, 1500, clock(start.Add(1500*time.Millisecond)))
}
