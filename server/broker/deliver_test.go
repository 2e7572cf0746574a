package broker

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// putRaw stores bytes that are not a record.
func (r *rig) putRaw(topic string, payload []byte) {
	r.t.Helper()
	q, err := r.store.Queue(topic, 0)
	require.NoError(r.t, err)
	_, err = r.store.Put(context.Background(), &store.Message{Queue: q, Payload: payload})
	require.NoError(r.t, err)
}

func TestDamagedMessagesAreSkippedAndCounted(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	good, err := message.Append(nil, &message.Message{Topic: "t", Body: []byte("body")})
	require.NoError(t, err)
	flipped := append([]byte(nil), good...)
	flipped[88] ^= 1 // in the body
	cut := good[:len(good)-1]
	longer := append(append([]byte(nil), good...), 0)

	r.put("t", 0, "", "first", 0)
	for _, bad := range [][]byte{[]byte("garbage"), flipped, cut, longer} {
		r.putRaw("t", bad)
	}
	r.put("t", 0, "", "last", 0)

	resp := r.dial().ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...)
	require.Equal(t, []string{"first", "last"}, bodies(t, resp))
	require.EqualValues(t, 6, next(t, resp))
	require.EqualValues(t, 4, metric(t, r.reg, "duelog_damaged_records_total"))
}

func TestQueueOfNothingButDamageIsPassed(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	for range 3 {
		r.putRaw("t", []byte("garbage"))
	}
	resp := r.dial().ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...)
	require.Equal(t, remoting.RespPullRetryImmediately, resp.Code)
	require.EqualValues(t, 3, next(t, resp))
}

func TestClosedStoreSkipsNothing(t *testing.T) {
	require.True(t, passing(fmt.Errorf("read: %w", store.ErrClosed)))
	require.False(t, passing(store.ErrNotFound))
	require.False(t, passing(errors.New("input/output error")))
}

// BenchmarkPull measures 32 messages of 1 KiB per round trip on loopback.
func BenchmarkPull(b *testing.B) {
	r := newRig(b, nil)
	r.topic("t", 1)
	body := string(make([]byte, 1024))
	for range pullMaxMessages {
		r.put("t", 0, "", body, 0)
	}
	c := r.dial()
	cmd := request(b, remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...)
	b.SetBytes(pullMaxMessages * 1024)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Invoke(context.Background(), cmd)
		if err != nil || resp.Code != remoting.RespSuccess {
			b.Fatal(resp, err)
		}
	}
}

// BenchmarkCollect measures the broker's share of a pull: find, check and copy.
func BenchmarkCollect(b *testing.B) {
	r := newRig(b, nil)
	topic := r.topic("t", 1)
	body := string(make([]byte, 1024))
	for range pullMaxMessages {
		r.put("t", 0, "", body, 0)
	}
	q, err := topic.queue(0)
	require.NoError(b, err)
	p := &pull{topic: topic, group: defaultGroup("g"), queue: q, filter: &filter{all: true}, maxMessages: pullMaxMessages, maxBytes: pullMaxBytes}
	out := make([]byte, 0, 64<<10)
	b.SetBytes(pullMaxMessages * 1024)
	b.ReportAllocs()
	for b.Loop() {
		p.next = 0
		t := batches.Get().(*batch)
		if err := r.broker.collect(p, t); err != nil || len(t.found) != pullMaxMessages {
			b.Fatal(len(t.found), err)
		}
		out = out[:0]
		for i := range t.found {
			out = appendDelivered(out, t.views[i].Bytes(), &t.found[i])
		}
		t.free()
	}
}
