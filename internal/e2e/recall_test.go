package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func recalls(t *testing.T, r *rig) {
	const topic = "recalls"
	p, box := listen(t, r, Subscription{Topic: topic})
	due := time.Now().Add(4 * time.Second).UnixMilli()
	send := func(text string, due int64) Sent {
		return p.Send(t, Message{Topic: topic, Body: text, Delay: "TIMER_DELIVER_MS", Value: strconv.FormatInt(due, 10)})
	}
	gone, kept, later := send("gone", due), send("kept", due), send("later", due+1)
	id, err := p.Recall(gone)
	require.NoError(t, err)
	require.Equal(t, gone.ID, id)

	intact(t, kept, once(t, box.Await(t, kept, 4*time.Second+late)))
	box.Await(t, later, late)
	require.Empty(t, box.Has(gone.ID))

	_, err = p.Recall(kept)
	var refused *ClientError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 604, refused.Code)
	require.Contains(t, refused.Text, "too late")
	unknown := gone
	unknown.Handle = "djEgcmVjYWxscyBicm9rZXItYSA0MTAyNDQ0ODAwMDAxIG5vbmU=" // v1 recalls broker-a 4102444800001 none
	_, err = p.Recall(unknown)
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 22, refused.Code)
}
