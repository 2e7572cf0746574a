package broker

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// testRecorder is a recorder without a broker.
func testRecorder() *recorder {
	opts := (&Options{}).ensureDefaults()
	return &recorder{home: newHome(&opts, message.NewUniqKeys(opts.Advertise.Addr(), 1, 1))}
}

// props joins name, value pairs to a properties string.
func props(pairs ...string) string {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = message.AppendProperty(b, pairs[i], pairs[i+1])
	}
	return string(b)
}

const testCommon = "MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02CLUSTER\x01DefaultCluster\x02"

// storedProperties builds a record at testNow and returns its properties.
func storedProperties(t *testing.T, raw string) string {
	t.Helper()
	r := testRecorder()
	r.msg.Body = []byte("body")
	r.info.scan(raw)
	when, ref := r.info.delay.resolve(testNow, testMaxDelay)
	require.Nil(t, ref)
	rec, ref := r.build("T", 3, when, testNow)
	require.Nil(t, ref)
	var m message.Message
	require.NoError(t, message.Decode(rec, &m))
	return m.Properties
}

func TestPropertiesOfAStoredRecord(t *testing.T) {
	due, now := atMs(testNow+3456), atMs(testNow)
	waits := props("REAL_TOPIC", "T", "REAL_QID", "3")
	timed := waits + props("TIMER_OUT_MS", due, "TIMER_ENQUEUE_MS", now, "TIMER_DEQUEUE_MS", due)
	for name, tc := range map[string]struct{ raw, want string }{
		"are the producer's and the broker's": {
			props("UNIQ_KEY", "U", "KEYS", "k1 k2", "WAIT", "true"),
			props("UNIQ_KEY", "U", "KEYS", "k1 k2", "WAIT", "true") + testCommon,
		},
		"need no last separator": {
			"UNIQ_KEY\x01U\x02TAGS\x01TagA",
			props("UNIQ_KEY", "U", "TAGS", "TagA") + testCommon,
		},
		"lose what is the broker's or never stored": {
			props("UNIQ_KEY", "U", "POP_CK", "0 1 2", "MSG_REGION", "mine", "a", "1", "TRACE_ON", "false", "CLUSTER", "x", "__RMQ.TRANSIENT.x", "1", "b", "2"),
			props("UNIQ_KEY", "U", "a", "1", "b", "2") + testCommon,
		},
		"of a past time stay, without marks": {
			props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", atMs(testNow-1)),
			props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", atMs(testNow-1)) + testCommon,
		},
		"of an exact time tell of the wait": {
			props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", due),
			props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", due) + testCommon + timed,
		},
		"of a relative time tell of the wait": {
			props("UNIQ_KEY", "U", "TIMER_DELAY_MS", "3456"),
			props("UNIQ_KEY", "U", "TIMER_DELAY_MS", "3456") + testCommon + timed,
		},
		"of the hosted spelling tell of the wait": {
			props("UNIQ_KEY", "U", "__STARTDELIVERTIME", due),
			props("UNIQ_KEY", "U", "__STARTDELIVERTIME", due) + testCommon + timed,
		},
		"of a level tell where it goes": {
			props("UNIQ_KEY", "U", "DELAY", "2"),
			props("UNIQ_KEY", "U", "DELAY", "2") + testCommon + waits,
		},
		"of a level too high name the highest": {
			props("UNIQ_KEY", "U", "DELAY", "99"),
			props("UNIQ_KEY", "U") + testCommon + props("DELAY", "18") + waits,
		},
		"of a level lose the times it overrides": {
			props("TIMER_DELIVER_MS", due, "UNIQ_KEY", "U", "DELAY", "2", "TIMER_DELAY_SEC", "1"),
			props("UNIQ_KEY", "U", "DELAY", "2") + testCommon + waits,
		},
		"of a retry name its own goal and keep the first wait": {
			props("UNIQ_KEY", "U", "REAL_TOPIC", "old", "REAL_QID", "9", "TIMER_OUT_MS", "5", "TIMER_DEQUEUE_MS", "1234567890123", "DELAY", "3"),
			props("UNIQ_KEY", "U", "TIMER_OUT_MS", "5", "TIMER_DEQUEUE_MS", "1234567890123", "DELAY", "3") + testCommon + waits,
		},
		"of a new wait replace forged marks": {
			props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", due, "TIMER_DEQUEUE_MS", "x", "REAL_QID", "9"),
			props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", due) + testCommon + timed,
		},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, tc.want, storedProperties(t, tc.raw)) })
	}
}

func TestAMessageWithoutUniqKeyGetsOne(t *testing.T) {
	got := storedProperties(t, props("KEYS", "k"))
	key := message.Get(got, message.PropUniqKey)
	require.Len(t, key, 32)
	require.Equal(t, props("KEYS", "k", "UNIQ_KEY", key)+testCommon, got)
}

func TestPropertiesThatOutgrowTheFormatAreRefused(t *testing.T) {
	r := testRecorder()
	r.info.scan(props("a", strings.Repeat("x", message.MaxProperties-10)))
	_, ref := r.build("T", 0, schedule{}, testNow)
	require.NotNil(t, ref)
	require.EqualValues(t, remoting.RespMessageIllegal, ref.code)
	require.Contains(t, ref.remark, "msg properties length limit 32767B")
}

func TestARecordHoldsWhatItsSenderSaid(t *testing.T) {
	r := testRecorder()
	r.info.scan(props("UNIQ_KEY", "U", "TAGS", "t1"))
	born := netip.MustParseAddrPort("10.1.2.3:4567")
	r.msg = message.Message{Flag: 7, SysFlag: 1, BornMs: 42, BornHost: born, ReconsumeTimes: 2, Body: []byte("body")}
	rec, ref := r.build("T", 3, schedule{fireMs: testNow + 5}, testNow)
	require.Nil(t, ref)
	var m message.Message
	require.NoError(t, message.Decode(rec, &m))
	require.NoError(t, message.CheckBody(&m))
	require.Equal(t, "T 3 7 1 42", strings.Join([]string{m.Topic, atMs(int64(m.QueueID)), atMs(int64(m.Flag)), atMs(int64(m.SysFlag)), atMs(m.BornMs)}, " "))
	require.Equal(t, born, m.BornHost)
	require.Equal(t, defaultAdvertise, m.StoreHost)
	require.Equal(t, testNow, m.StoreMs)
	require.EqualValues(t, 2, m.ReconsumeTimes)
	require.Zero(t, m.QueueOffset)
	require.Zero(t, m.PhysicalOffset)
	require.Equal(t, store.Message{FireMs: testNow + 5, NowMs: testNow, Tag: 3645, Key: uint32('U'), Keys: []uint64{KeyHash("T", "U")}}, r.put)
}

func TestAConsumerSeesWhenAMessageFired(t *testing.T) {
	r := testRecorder()
	r.msg.Body = []byte("body")
	r.info.scan(props("UNIQ_KEY", "U", "TIMER_DELAY_MS", "1000"))
	when, _ := r.info.delay.resolve(testNow, testMaxDelay)
	rec, ref := r.build("T", 3, when, testNow)
	require.Nil(t, ref)
	stored := string(rec)

	d := store.Delivery{Slot: 77, Loc: 4096, DeliverMs: testNow + 1002, Scheduled: true}
	out := appendDelivered([]byte("before"), rec, &d)
	require.Equal(t, stored, string(rec), "the stored record is not touched")
	require.Equal(t, "before", string(out[:6]))
	var m message.Message
	require.NoError(t, message.Decode(out[6:], &m))
	require.EqualValues(t, 77, m.QueueOffset)
	require.EqualValues(t, 4096, m.PhysicalOffset)
	require.Equal(t, testNow+1002, m.StoreMs)
	require.Equal(t, atMs(testNow+1000), message.Get(m.Properties, message.PropTimerOutMs))
	require.Equal(t, atMs(testNow), message.Get(m.Properties, message.PropTimerEnqueueMs))
	require.Equal(t, atMs(testNow+1002), message.Get(m.Properties, message.PropTimerDequeueMs))
}

func TestAnEarlierDequeueTimeIsLeftAlone(t *testing.T) {
	r := testRecorder()
	r.info.scan(props("UNIQ_KEY", "U", "TIMER_OUT_MS", "1", "TIMER_DEQUEUE_MS", "1234567890123"))
	rec, ref := r.build("T", 3, schedule{}, testNow)
	require.Nil(t, ref)
	out := appendDelivered(nil, rec, &store.Delivery{DeliverMs: testNow})
	var m message.Message
	require.NoError(t, message.Decode(out, &m))
	require.Equal(t, "1234567890123", message.Get(m.Properties, message.PropTimerDequeueMs))
}

func FuzzRecordOfAnyProperties(f *testing.F) {
	f.Add(props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", atMs(testNow+1), "TAGS", "a"))
	f.Add(props("DELAY", "99", "REAL_TOPIC", "x", "POP_CK", "1"))
	f.Add("\x02\x01\x02a\x01\x02TIMER_DEQUEUE_MS\x011234567890123")
	f.Fuzz(func(t *testing.T, raw string) {
		r := testRecorder()
		r.msg.Body = []byte("body")
		r.info.scan(raw)
		when, ref := r.info.delay.resolve(testNow, testMaxDelay)
		if ref != nil {
			return
		}
		require.True(t, when.fireMs == 0 || when.fireMs > testNow && when.fireMs <= testNow+testMaxDelay.Milliseconds())
		rec, ref := r.build("T", 3, when, testNow)
		if ref != nil {
			require.Greater(t, len(raw)+400, message.MaxProperties)
			return
		}
		var m message.Message
		require.NoError(t, message.Decode(appendDelivered(nil, rec, &store.Delivery{DeliverMs: testNow + 9}), &m))
		require.Equal(t, "true", message.Get(m.Properties, message.PropTraceOn))
		require.NotEmpty(t, message.Get(m.Properties, message.PropUniqKey))
		require.Empty(t, message.Get(m.Properties, message.PropPopCheckPoint))
		if when.isTimed() {
			require.Equal(t, atMs(testNow+9), message.Get(m.Properties, message.PropTimerDequeueMs))
		}
	})
}

func FuzzPatchOfAnyBytes(f *testing.F) {
	f.Add([]byte("TIMER_DEQUEUE_MS\x011234567890123\x02"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, rec []byte) {
		out := appendDelivered(nil, rec, &store.Delivery{DeliverMs: testNow})
		require.Len(t, out, len(rec))
	})
}
