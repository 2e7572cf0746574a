package broker

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// batchOf builds the body of a batch out of properties, body pairs.
func batchOf(t *testing.T, pairs ...string) []byte {
	t.Helper()
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		var err error
		b, err = message.AppendBatchItem(b, &message.BatchItem{Flag: int32(i), Properties: pairs[i], Body: []byte(pairs[i+1])})
		require.NoError(t, err)
	}
	return b
}

func TestEachMessageOfABatchIsItsOwn(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.send("T", "", "before")
	body := batchOf(t, props("UNIQ_KEY", "A", "KEYS", "k", "TAGS", "t1"), "a", props("UNIQ_KEY", "B"), "b", "", "c")
	resp := c.ask(remoting.ReqSendBatchMessage, body, sendExtOf("T", props("UNIQ_KEY", "ALL", "WAIT", "true"), "m", "true")...)
	require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
	require.Equal(t, "1", resp.Get("queueOffset"), "of the first message")
	require.Equal(t, "0", resp.Get("queueId"))
	require.Equal(t, "ALL", resp.Get("transactionId"))
	require.Equal(t, "true", resp.Get("TRACE_ON"))

	got := c.receive("T", 1)
	require.Len(t, got, 3)
	ids := strings.Split(resp.Get("msgId"), ",")
	for i, want := range []string{"a", "b", "c"} {
		require.Equal(t, want, string(got[i].Body))
		require.EqualValues(t, 2*i, got[i].Flag)
		require.Equal(t, message.OffsetID(defaultAdvertise, got[i].PhysicalOffset), ids[i])
		require.Empty(t, message.Get(got[i].Properties, "WAIT"), "the header's properties are not merged")
	}
	require.Equal(t, "k", message.Get(got[0].Properties, "KEYS"))
	require.Equal(t, "B", message.Get(got[1].Properties, "UNIQ_KEY"))
	require.Len(t, message.Get(got[2].Properties, "UNIQ_KEY"), 32)
}

func TestADelayInsideABatchIsHonoured(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	due := r.store.NowMs() + 3000
	body := batchOf(t, props("TIMER_DELIVER_MS", atMs(due)), "later", "", "now")
	resp := c.ask(remoting.ReqSendBatchMessage, body, sendExtOf("T", "")...)
	require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
	require.Equal(t, "0", resp.Get("queueOffset"))
	require.Len(t, strings.Split(resp.Get("msgId"), ","), 2)
	got := c.receive("T", 0)
	if len(got) == 1 {
		got = append(got, c.receive("T", 1)...)
	}
	for _, m := range got {
		require.Equal(t, string(m.Body) == "later", message.Get(m.Properties, message.PropTimerOutMs) != "")
		if string(m.Body) == "later" {
			require.GreaterOrEqual(t, m.StoreMs, due)
		}
	}
	require.Len(t, got, 2)
}

func TestARefusedBatchStoresNothing(t *testing.T) {
	r := newRig(t, nil)
	r.topic("T", 1)
	_, err := r.broker.groups.Ensure("g")
	require.NoError(t, err)
	c := r.dial()
	good := batchOf(t, "", "good")
	for name, tc := range map[string]struct {
		topic, remark string
		body          []byte
	}{
		"a bad delay behind a good message": {"T", "timer message illegal", batchOf(t, "", "good", props("TIMER_DELAY_MS", "x"), "bad")},
		"a torn message behind a good one":  {"T", "malformed batch", append(good, 1, 2, 3)},
		"a message without body":            {"T", "body is empty", batchOf(t, "", "good", "", "")},
		"no message at all":                 {"T", "body is empty", nil},
		"a retry topic":                     {"%RETRY%g", "batch request does not support retry group %RETRY%g", good},
	} {
		t.Run(name, func(t *testing.T) {
			resp := c.ask(remoting.ReqSendBatchMessage, tc.body, sendExtOf(tc.topic, "")...)
			require.Equal(t, remoting.RespMessageIllegal, resp.Code, resp.Remark)
			require.Contains(t, resp.Remark, tc.remark)
		})
	}
	if q := r.store.LookupQueue("T", 0); q != nil {
		require.Zero(t, q.Max())
	}
}

func TestABatchIsAnsweredOnceEvenIfItsTailIsRefused(t *testing.T) {
	r := newRig(t, nil)
	topic := r.topic("T", 1)
	a := r.broker.newBatchAck(nil, request(t, remoting.ReqSendBatchMessage, nil), topic, 0, 3)
	a.t.Oneway = true
	a.c = connOf(t, r)
	a.PutDone(0, store.Result{Slot: 5}, nil)
	a.refused(2, errors.New("no"))
	require.Zero(t, a.left)
	require.Error(t, a.err)
}

// connOf returns the broker's side of a fresh connection.
func connOf(t *testing.T, r *rig) *remoting.Conn {
	t.Helper()
	c := r.dial()
	c.ask(remoting.ReqHeartBeat, heartbeat{ClientID: "conn-of", Producers: []heartbeatProducer{{Group: "conn-of"}}})
	conns := r.broker.clients.Producer("conn-of")
	require.NotEmpty(t, conns)
	return conns[0]
}
