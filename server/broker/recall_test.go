package broker

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

func (c *client) recall(topic, handle string) *remoting.Command {
	c.t.Helper()
	return c.ask(remoting.ReqRecallMessage, nil, "producerGroup", "g", "topic", topic, "recallHandle", handle, "bname", DefaultBrokerName)
}

func TestARecalledMessageNeverComes(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	due := r.store.NowMs() + 4000
	kept := c.send("T", props("UNIQ_KEY", "U1", "TIMER_DELIVER_MS", atMs(due)), "kept")
	gone := c.send("T", props("UNIQ_KEY", "U2", "TIMER_DELIVER_MS", atMs(due)), "gone")
	require.NotEmpty(t, kept.Get("recallHandle"))
	for range 2 { // again is as good
		resp := c.recall("T", gone.Get("recallHandle"))
		require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
		require.Equal(t, "U2", resp.Get("msgId"))
	}
	require.Equal(t, remoting.RespQueryNotFound, c.query("U2").Code, "it is not shown any more")
	require.Equal(t, []string{"kept"}, bodies(t, c.query("U1")))
	got := r.pullUntil(c, 1)
	require.Equal(t, "kept", string(got[0].Body))

	late := c.recall("T", kept.Get("recallHandle"))
	require.Equal(t, remoting.RespIllegalOperation, late.Code)
	require.Contains(t, late.Remark, "too late")
	require.EqualValues(t, 1, metric(t, r.reg, "duelog_refused_total"))
}

func TestOnlyAMessageThatWaitsForAnExactTimeHasAHandle(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	require.Empty(t, c.send("T", props("UNIQ_KEY", "U"), "now").Get("recallHandle"))
	require.Empty(t, c.send("T", props("UNIQ_KEY", "U", "DELAY", "18"), "level").Get("recallHandle"))
	require.Empty(t, c.send("T", props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", "1"), "past").Get("recallHandle"))
	require.NotEmpty(t, c.send("T", props("TIMER_DELAY_MS", "100000"), "no id of the client's").Get("recallHandle"))
}

func TestARecallThatCannotBeSaysWhy(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	sent := c.send("T", props("UNIQ_KEY", "U", "TIMER_DELAY_SEC", "3600"), "x")
	handle := func(topic, broker string, fireMs int64, uniq string) string {
		return string(message.AppendRecallHandle(nil, &message.RecallHandle{Topic: topic, Broker: broker, ID: uniq, DueMs: fireMs}))
	}
	hour := r.store.NowMs() + time.Hour.Milliseconds()
	for name, tc := range map[string]struct {
		topic, handle string
		code          int32
	}{
		"no base64":     {"T", "###", remoting.RespIllegalOperation},
		"no handle":     {"T", base64.URLEncoding.EncodeToString([]byte("v1 a b")), remoting.RespIllegalOperation},
		"other version": {"T", base64.URLEncoding.EncodeToString([]byte("v2 T broker-a 5 U")), remoting.RespIllegalOperation},
		"no number":     {"T", base64.URLEncoding.EncodeToString([]byte("v1 T broker-a x U")), remoting.RespIllegalOperation},
		"other topic":   {"T2", sent.Get("recallHandle"), remoting.RespIllegalOperation},
		"other broker":  {"T", handle("T", "broker-b", hour, "U"), remoting.RespIllegalOperation},
		"no topic":      {"T3", handle("T3", DefaultBrokerName, hour, "U"), remoting.RespTopicNotExist},
		"unknown id":    {"T", handle("T", DefaultBrokerName, hour, "V"), remoting.RespQueryNotFound},
		"other time":    {"T", handle("T", DefaultBrokerName, hour+7_000_000, "U"), remoting.RespQueryNotFound},
	} {
		require.Equal(t, tc.code, c.recall(tc.topic, tc.handle).Code, name)
	}
	require.EqualValues(t, 1, r.store.Pending())
}

// A producer that had no answer sends again, with the same id and for the same time.
func TestAMessageThatWasSentTwiceIsRecalledTwice(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	due := r.store.NowMs() + time.Hour.Milliseconds()
	var handle string
	for range 2 {
		handle = c.send("T", props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", atMs(due)), "x").Get("recallHandle")
	}
	c.send("T", props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", atMs(due+1)), "for another time")
	require.EqualValues(t, 3, r.store.Pending())
	require.Equal(t, remoting.RespSuccess, c.recall("T", handle).Code)
	require.EqualValues(t, 1, r.store.Pending())
	require.Equal(t, []string{"for another time"}, bodies(t, c.query("U")))
}
