package message

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var compareHosts = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func sample() *Message {
	return &Message{
		QueueID: 3, Flag: 7, SysFlag: SysFlagMultiTags,
		BornMs: 1795407928193, BornHost: netip.MustParseAddrPort("127.0.0.1:42000"),
		StoreMs: 1795407928200, StoreHost: netip.MustParseAddrPort("10.1.2.3:30921"),
		ReconsumeTimes: 2, PreparedTxOffset: 99, QueueOffset: 5, PhysicalOffset: 15470,
		Body: []byte("prime"), Topic: "TopicA", Properties: "TAGS\x01TagA\x02",
	}
}

func encode(t require.TestingT, m *Message) []byte {
	b, err := Append(nil, m)
	require.NoError(t, err)
	require.Len(t, b, Size(m))
	return b
}

func TestAppendWritesTheDocumentedLayout(t *testing.T) {
	want := strings.Join([]string{
		"00000070", "daa320a7", "544b0f57", "00000003", "00000007", // size, magic, crc, queue, flag
		"0000000000000005", "0000000000003c6e", "00000002", // queue offset, physical offset, sysflag
		"000001a206a6db81", "7f000001", "0000a410", // born
		"000001a206a6db88", "0a010203", "000078c9", // stored
		"00000002", "0000000000000063", // reconsume, prepared
		"00000005", "7072696d65", // body
		"06", "546f70696341", // topic
		"000a", "544147530154616741" + "02", // properties
	}, "")
	require.Equal(t, want, hex.EncodeToString(encode(t, sample())))
}

func TestBodyCRCMatchesTheReferenceBroker(t *testing.T) {
	require.Equal(t, uint32(0x544b0f57), BodyCRC([]byte("prime"))) // from a captured pull reply
}

func TestDecodeReturnsWhatAppendWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawMessage(t)
		b := append(encode(t, want), rapid.SliceOfN(rapid.Byte(), 0, 8).Draw(t, "following")...)
		var got Message
		require.NoError(t, Decode(b, &got))
		require.NoError(t, CheckBody(&got))
		want.BodyCRC = BodyCRC(want.Body)
		want.SysFlag = hostFlags(want)
		require.Empty(t, cmp.Diff(want, &got, compareHosts))
	})
}

func drawMessage(t *rapid.T) *Message {
	host := func(name string) netip.AddrPort {
		ip := rapid.SampledFrom([]string{"1.2.3.4", "fd00::2", "0.0.0.0"}).Draw(t, name)
		return netip.AddrPortFrom(netip.MustParseAddr(ip), rapid.Uint16().Draw(t, name+" port"))
	}
	return &Message{
		QueueID: rapid.Int32().Draw(t, "queue"), Flag: rapid.Int32().Draw(t, "flag"),
		SysFlag: rapid.Int32().Draw(t, "sysflag"),
		BornMs:  rapid.Int64().Draw(t, "born"), BornHost: host("born host"),
		StoreMs: rapid.Int64().Draw(t, "stored"), StoreHost: host("store host"),
		ReconsumeTimes:   rapid.Int32().Draw(t, "reconsume"),
		PreparedTxOffset: rapid.Int64().Draw(t, "prepared"),
		QueueOffset:      rapid.Int64().Draw(t, "offset"), PhysicalOffset: rapid.Int64().Draw(t, "physical"),
		Body:       append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "body")...),
		Topic:      strings.Repeat("t", rapid.IntRange(0, 300).Draw(t, "topic")),
		Properties: rapid.StringN(0, 100, 300).Draw(t, "properties"),
	}
}

func TestLongTopicsAreWrittenAsV2(t *testing.T) {
	m := sample()
	m.Topic = strings.Repeat("x", MaxTopicV1)
	require.Equal(t, magicV1, binary.BigEndian.Uint32(encode(t, m)[posMagic:]))
	m.Topic += "x"
	require.Equal(t, magicV2, binary.BigEndian.Uint32(encode(t, m)[posMagic:]))
}

func TestMappedHostsAreStoredAsIPv4(t *testing.T) {
	m := sample()
	m.BornHost = netip.MustParseAddrPort("[::ffff:127.0.0.1]:42000")
	m.SysFlag |= SysFlagBornV6 // a lie, corrected
	require.Equal(t, encode(t, sample()), encode(t, m))
}

func TestZeroHostIsStoredAsZeroIPv4(t *testing.T) {
	m := sample()
	m.BornHost, m.StoreHost = netip.AddrPort{}, netip.AddrPort{}
	var got Message
	require.NoError(t, Decode(encode(t, m), &got))
	require.Equal(t, netip.MustParseAddrPort("0.0.0.0:0"), got.BornHost)
}

func TestAppendRefusesWhatTheFormatCannotHold(t *testing.T) {
	for want, change := range map[error]func(*Message){
		ErrTopicTooLong:      func(m *Message) { m.Topic = strings.Repeat("x", MaxTopic+1) },
		ErrPropertiesTooLong: func(m *Message) { m.Properties = strings.Repeat("x", MaxProperties+1) },
	} {
		m := sample()
		change(m)
		b, err := Append([]byte("before"), m)
		require.ErrorIs(t, err, want)
		require.Equal(t, "before", string(b))
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	good := encode(t, sample())
	set := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
	}
	for name, c := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"empty":                   {func([]byte) []byte { return nil }, ErrTruncated},
		"cut":                     {func(b []byte) []byte { return b[:len(b)-1] }, ErrTruncated},
		"blank record":            {set(posMagic, 0xCBD43194), ErrMagic},
		"size zero":               {set(0, 0), ErrSize},
		"size negative":           {set(0, 1<<31), ErrTruncated},
		"size too small by one":   {set(0, uint32(len(good)-1)), ErrSize},
		"body beyond end":         {set(84, 1<<31-1), ErrSize},
		"body up to end":          {set(84, uint32(len(good)-88)), ErrSize},
		"hosts do not fit":        {set(posSysFlag, uint32(SysFlagBornV6|SysFlagStoreV6)), ErrSize},
		"v2 topic length too big": {set(posMagic, magicV2), ErrSize},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.change(append([]byte(nil), good...))
			var m Message
			require.ErrorIs(t, Decode(b, &m), c.want)
			_, _, err := Split(b)
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestCheckBodyFindsAChangedBody(t *testing.T) {
	b := encode(t, sample())
	b[88] ^= 1
	var m Message
	require.NoError(t, Decode(b, &m))
	require.ErrorIs(t, CheckBody(&m), ErrChecksum)
}

func TestSplitCutsMessagesApart(t *testing.T) {
	one := encode(t, sample())
	m := sample()
	m.Body = []byte("second")
	two := encode(t, m)
	first, rest, err := Split(append(append([]byte(nil), one...), two...))
	require.NoError(t, err)
	require.Equal(t, one, first)
	require.Equal(t, two, rest)
}

func TestPatchChangesTheOffsetsAndTheTimeAlone(t *testing.T) {
	for _, born := range []string{"127.0.0.1:1", "[fd00::1]:1"} {
		m := sample()
		m.BornHost = netip.MustParseAddrPort(born)
		b := encode(t, m)
		Patch(b, 1234, 5678)
		PatchStoreMs(b, 42)
		m.QueueOffset, m.PhysicalOffset, m.StoreMs = 1234, 5678, 42
		require.Equal(t, encode(t, m), b)
		require.Equal(t, int64(42), StoreMs(b))
	}
}

func TestPatchLeavesShortSlicesAlone(t *testing.T) {
	b := make([]byte, minSize-1)
	Patch(b, -1, -1)
	PatchStoreMs(b, -1)
	require.Equal(t, make([]byte, minSize-1), b)
	require.Zero(t, StoreMs(b))
}

func TestAppendWithPropertiesAddsThemBehindTheOthers(t *testing.T) {
	for name, c := range map[string]struct{ have, extra, want string }{
		"to none":            {"", "A\x011\x02", "A\x011\x02"},
		"nothing":            {"A\x011", "", "A\x011"},
		"behind a separator": {"A\x011\x02", "B\x012\x02", "A\x011\x02B\x012\x02"},
		"separator missing":  {"A\x011", "B\x012\x02", "A\x011\x02B\x012\x02"},
	} {
		t.Run(name, func(t *testing.T) {
			m := sample()
			m.Properties = c.have
			got, err := AppendWithProperties([]byte("x"), encode(t, m), c.extra)
			require.NoError(t, err)
			m.Properties = c.want
			require.Equal(t, encode(t, m), got[1:])
		})
	}
}

func TestAppendWithPropertiesRefusesWhatDoesNotFit(t *testing.T) {
	m := sample()
	m.Properties = strings.Repeat("x", MaxProperties-1)
	_, err := AppendWithProperties(nil, encode(t, m), "y")
	require.ErrorIs(t, err, ErrPropertiesTooLong)
	_, err = AppendWithProperties(nil, []byte("no record"), "y")
	require.ErrorIs(t, err, ErrTruncated)
}

func FuzzDecode(f *testing.F) {
	m := sample()
	f.Add(encode(f, m))
	m.BornHost = netip.MustParseAddrPort("[fd00::1]:1")
	m.Topic = strings.Repeat("x", 200)
	f.Add(encode(f, m))
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Message
		if Decode(b, &m) != nil {
			return
		}
		one, _, err := Split(b)
		require.NoError(t, err)
		again, err := Append(nil, &m)
		require.NoError(t, err)
		var m2 Message
		require.NoError(t, Decode(again, &m2))
		m2.BodyCRC, m2.SysFlag = m.BodyCRC, m.SysFlag
		normalHosts(&m)
		require.Empty(t, cmp.Diff(m, m2, compareHosts))
		if grown, err := AppendWithProperties(nil, one, "K\x01v\x02"); err == nil {
			require.NoError(t, Decode(grown, &m2))
			require.Equal(t, "v", Get(m2.Properties, "K"))
		}
	})
}

// normalHosts makes mapped addresses what Append stores them as.
func normalHosts(m *Message) {
	for _, h := range []*netip.AddrPort{&m.BornHost, &m.StoreHost} {
		*h = netip.AddrPortFrom(h.Addr().Unmap(), h.Port())
	}
}
