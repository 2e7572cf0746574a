package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func transactions(t *testing.T, r *rig) {
	const topic = "transactions"
	_, box := listen(t, r, Subscription{Topic: topic})
	p := r.client.Produce(t, ProducerOptions{Transactional: true})
	send := func(text, verdict, checked string, due int64) Sent {
		m := Message{
			Topic:      topic,
			Mode:       Transaction,
			Body:       text,
			Tags:       "TagA",
			Properties: map[string]string{"verdict": verdict, "checked": checked},
		}
		if due != 0 { // the Java client refuses every other spelling in a transaction
			m.Delay, m.Value = "__STARTDELIVERTIME", strconv.FormatInt(due, 10)
		}
		return p.Send(t, m)
	}
	due := time.Now().Add(3 * time.Second).UnixMilli()
	rolledBack := send("rolled back", "ROLLBACK_MESSAGE", "ROLLBACK_MESSAGE", 0)
	committed := send("committed", "COMMIT_MESSAGE", "COMMIT_MESSAGE", 0)
	scheduled := send("committed for later", "COMMIT_MESSAGE", "COMMIT_MESSAGE", due)
	asked := send("committed when asked", "UNKNOW", "COMMIT_MESSAGE", 0)

	intact(t, committed, once(t, box.Await(t, committed, late)))
	later := once(t, box.Await(t, scheduled, 3*time.Second+late))
	intact(t, scheduled, later)
	require.GreaterOrEqual(t, later.At, due, "came too early")
	once(t, box.Await(t, asked, 90*time.Second))
	require.Empty(t, box.Has(rolledBack.ID))
}
