package e2e

import (
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func queries(t *testing.T, r *rig) {
	const topic = "queries"
	p, box := listen(t, r, Subscription{Topic: topic})
	begin := time.Now().UnixMilli()
	due := time.Now().Add(2 * time.Second).UnixMilli()
	far := time.Now().Add(time.Hour).UnixMilli()
	send := func(text, keys string, due int64) Sent {
		m := Message{Topic: topic, Body: text, Tags: "TagA", Keys: keys}
		if due > 0 {
			m.Delay, m.Value = "TIMER_DELIVER_MS", strconv.FormatInt(due, 10)
		}
		return p.Send(t, m)
	}
	now := send("now", "all first", 0)
	soon := send("soon", "all second", due)
	waiting := send("waiting", "all third", far)

	for _, sent := range []Sent{now, soon, waiting} {
		intact(t, sent, p.View(t, topic, sent.ID))
	}
	pending := p.View(t, topic, waiting.ID)
	require.Equal(t, strconv.FormatInt(far, 10), pending.Properties["TIMER_OUT_MS"])
	require.NotContains(t, pending.Properties, "TIMER_DEQUEUE_MS", "it still waits")

	found, err := p.Query(topic, "all", begin, math.MaxInt64)
	require.NoError(t, err)
	ids := map[string]bool{}
	for _, m := range found {
		ids[m.ID] = true
	}
	require.Equal(t, map[string]bool{now.ID: true, soon.ID: true, waiting.ID: true}, ids)
	found, err = p.Query(topic, "third", far, far)
	require.NoError(t, err, "by the time at which it is due")
	intact(t, waiting, once(t, found))

	delivered := once(t, box.Await(t, soon, 2*time.Second+late))
	found, err = p.Query(topic, "second", begin, math.MaxInt64)
	require.NoError(t, err)
	visible := once(t, found)
	require.Equal(t, delivered.Stored, visible.Stored)
	require.Equal(t, delivered.Offset, visible.Offset)
	require.Equal(t, delivered.Properties["TIMER_DEQUEUE_MS"], visible.Properties["TIMER_DEQUEUE_MS"])

	_, err = p.Query(topic, "no such key", begin, math.MaxInt64)
	var refused *ClientError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "MQClientException", refused.Class)
}
