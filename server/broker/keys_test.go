package broker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
)

func TestKeyHashesAreGolden(t *testing.T) {
	for _, c := range []struct {
		topic, key string
		want       uint64
	}{
		{"", "", 0x7b928204f738173a},
		{"T", "U", 0xa83ed24b08e5b1c2},
		{"orders", "order-42", 0xb95768ad316ecee2},
		{"orders", "7F0000010000000000000001", 0x5c6d3f2f2a25318d},
		{"%RETRY%group", "注文", 0x5d774bebc148147e},
	} {
		require.Equal(t, fmt.Sprintf("%016x", c.want), fmt.Sprintf("%016x", KeyHash(c.topic, c.key)), "%q %q", c.topic, c.key)
	}
}

func TestTopicAndKeyDoNotRunIntoEachOther(t *testing.T) {
	require.NotEqual(t, KeyHash("ab", "c"), KeyHash("a", "bc"))
	require.NotEqual(t, KeyHash("a", "b"), KeyHash("b", "a"))
	require.NotEqual(t, KeyHash("a", "b"), KeyHash("a", "b\x00"))
}

// TestHashesOfLikeKeysAreSpread looks at ids as clients make them and at numbered
// keys: no two may collide, and they must fill the sort's first digit evenly.
func TestHashesOfLikeKeysAreSpread(t *testing.T) {
	const n = 200_000
	ids := message.NewUniqKeys(netip.MustParseAddr("192.0.2.1"), 4711, 9)
	for name, key := range map[string]func(i int) string{
		"ids":     func(int) string { return string(ids.Append(nil, testNow)) },
		"numbers": func(i int) string { return fmt.Sprintf("order-%d", i) },
	} {
		seen := make(map[uint64]bool, n)
		var digits [1 << 11]int
		for i := range n {
			h := KeyHash("orders", key(i))
			seen[h] = true
			digits[h>>53]++
		}
		require.Len(t, seen, n, name)
		require.Less(t, slices.Max(digits[:]), 2*n/len(digits), name)
		require.Greater(t, slices.Min(digits[:]), n/len(digits)/2, name)
	}
}

func TestKeysAreTheIDAndTheFirstWords(t *testing.T) {
	want := []uint64{KeyHash("T", "U"), KeyHash("T", "a"), KeyHash("T", "b")}
	require.Equal(t, want, appendKeys(nil, "T", "U", " a  b U "))
	require.Equal(t, want[1:], appendKeys(nil, "T", "", "a b"))
	require.Empty(t, appendKeys(nil, "T", "", ""))
	require.Len(t, appendKeys(nil, "T", "U", strings.Repeat("x ", 16_000)), 1+maxKeys)
	require.Empty(t, Keys([]byte("no message"), nil))
	require.True(t, hasKey("a b", "b"))
	require.False(t, hasKey("a b", "a b"))
}

// FuzzKeysOfARecordAreThoseItWasStoredWith checks that recovery, which has the
// record only, finds the same keys as the sender's request had.
func FuzzKeysOfARecordAreThoseItWasStoredWith(f *testing.F) {
	for _, p := range []string{
		"", props("UNIQ_KEY", "U", "KEYS", "a b"), props("KEYS", "a", "KEYS", "b c", "CLUSTER", "x"),
		props("UNIQ_KEY", "U", "KEYS", "a", "TIMER_DELAY_SEC", "5"), "KEYS\x01a\x01b\x02UNIQ_KEY\x01\x02", "KEYS\x01a", "\x02\x01KEYS\x01 \x02",
	} {
		f.Add(p, true)
		f.Add(p, false)
	}
	f.Fuzz(func(t *testing.T, raw string, waits bool) {
		r := testRecorder()
		r.info.scan(raw)
		r.msg.Body = []byte("x")
		when := schedule{}
		if waits {
			when.fireMs = testNow + 5000
		}
		rec, ref := r.build("T", 0, when, testNow)
		if ref != nil {
			return
		}
		require.NotEmpty(t, r.put.Keys)
		require.Equal(t, r.put.Keys, Keys(rec, nil))
	})
}

func BenchmarkKeys(b *testing.B) {
	r := testRecorder()
	r.info.scan(props("UNIQ_KEY", "7F000001000078C90000000000003C6E", "KEYS", "order-42", "WAIT", "true", "TAGS", "t"))
	r.msg.Body = make([]byte, 1024)
	rec, ref := r.build("orders", 0, schedule{fireMs: testNow + 5}, testNow)
	require.Nil(b, ref)
	b.Run("stored", func(b *testing.B) { // what a send pays
		b.ReportAllocs()
		for b.Loop() {
			r.keys = appendKeys(r.keys[:0], "orders", text(r.uniq), r.info.keys)
		}
	})
	b.Run("recovered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r.keys = Keys(rec, r.keys[:0])
		}
	})
}
