package broker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// listed is what a chain of list requests brings together.
func listed(t *testing.T, c *client, ext ...string) (found []message.Envelope, requests int) {
	t.Helper()
	from, loc := "0", "0"
	for {
		resp := c.ask(remoting.ReqDuelogPendingList, nil, append([]string{"fromMs", from, "afterLoc", loc}, ext...)...)
		require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
		require.Equal(t, "0", resp.Get("skipped"))
		requests++
		for e, err := range message.Envelopes(resp.Body) {
			require.NoError(t, err)
			found = append(found, e)
		}
		if resp.Get("more") == "false" {
			return found, requests
		}
		from, loc = resp.Get("nextMs"), resp.Get("nextLoc")
	}
}

func (e *envelopeView) body() string { return string(e.Body) }

type envelopeView struct{ message.Message }

func open(t *testing.T, e message.Envelope) *envelopeView {
	t.Helper()
	var v envelopeView
	require.NoError(t, message.Decode(e.Record, &v.Message))
	return &v
}

func TestPendingMessagesAreListedInPages(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	r.topic("u", 1)
	at := r.store.NowMs() + 3_600_000
	for i := range 25 {
		r.put("t", int32(i%2), "", fmt.Sprint(i), at+int64(i/5))
		r.put("u", 0, "", "other", at)
	}
	c := r.dial()
	all, _ := listed(t, c)
	require.Len(t, all, 50)
	pages, requests := listed(t, c, "topic", "t", "max", "3")
	require.Len(t, pages, 25)
	require.Equal(t, 9, requests)
	for i, e := range pages {
		require.Equal(t, at+int64(i/5), e.FireMs)
		require.Equal(t, fmt.Sprint(i), open(t, e).body())
		require.EqualValues(t, len(open(t, e).Body), e.BodySize)
	}
	bare, _ := listed(t, c, "topic", "t", "body", "false", "toMs", strconv.FormatInt(at+1, 10))
	require.Len(t, bare, 5)
	require.Empty(t, open(t, bare[0]).Body)
	require.EqualValues(t, 1, bare[0].BodySize)
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqDuelogPendingList, nil, "max", "0").Code)
}

func TestPendingMessagesAreCounted(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	r.topic("u", 1)
	from := (r.store.NowMs()/60_000 + 60) * 60_000
	for i := range 30 {
		r.put("t", int32(i%2), "", "m", from+int64(i)*1000)
	}
	r.put("u", 0, "", "m", from)
	c := r.dial()
	ask := func(change ...string) pendingCounts {
		return answer[pendingCounts](t, c, remoting.ReqDuelogPendingCounts,
			append([]string{"fromMs", strconv.FormatInt(from, 10), "stepMs", "10000", "ranges", "4"}, change...)...)
	}
	got := ask()
	require.Equal(t, []int64{11, 10, 10, 0}, got.Counts)
	require.EqualValues(t, 31, got.Pending)
	require.Nil(t, got.Topics)
	got = ask("topic", "t", "byTopic", "true")
	require.Equal(t, []int64{10, 10, 10, 0}, got.Counts)
	require.Equal(t, map[string]int64{"t": 30}, got.Topics)
	require.Equal(t, from+40_000, got.CompleteToMs)
	require.Equal(t, map[string]int64{"t": 10, "u": 1}, ask("byTopic", "true", "ranges", "1").Topics)
	for _, bad := range [][]string{{"ranges", "0"}, {"ranges", "100000"}, {"stepMs", "0"}, {"fromMs", "-1"}, {"stepMs", "9000000000000000000"}, {"byTopic", "x"}} {
		resp := c.ask(remoting.ReqDuelogPendingCounts, nil, append([]string{"fromMs", "0", "stepMs", "1", "ranges", "1"}, bad...)...)
		require.Equal(t, remoting.RespInvalidParameter, resp.Code, bad)
	}
	metrics := answer[struct {
		Counts map[string]struct {
			Count int64 `json:"count"`
		} `json:"timingCount"`
	}](t, c, remoting.ReqGetTimerMetrics)
	require.EqualValues(t, 30, metrics.Counts["t"].Count)
}

// exported is everything that waits in r as an import's body.
func exported(t *testing.T, r *rig) []byte {
	found, _ := listed(t, r.dial())
	var b []byte
	for _, e := range found {
		b = message.AppendEnvelope(b, &e)
	}
	return b
}

// sendDelayed sends a message the way producers do.
func (c *client) sendDelayed(topic, body string, properties ...string) {
	c.t.Helper()
	var props []byte
	for i := 0; i < len(properties); i += 2 {
		props = message.AppendProperty(props, properties[i], properties[i+1])
	}
	resp := c.ask(remoting.ReqSendMessageV2, body, "a", "p", "b", topic, "c", "TBW102", "d", "4", "e", "0", "g", "77", "h", "5", "i", string(props))
	require.Equal(c.t, remoting.RespSuccess, resp.Code, resp.Remark)
}

func TestImportKeepsIdsAndFireTimes(t *testing.T) {
	from, to := newRig(t, nil), newRig(t, nil)
	_, err := from.broker.groups.Ensure("g")
	require.NoError(t, err)
	p := from.dial()
	at := strconv.FormatInt(from.store.NowMs()+7_200_000, 10)
	p.sendDelayed("t", "timed", "TIMER_DELIVER_MS", at, "KEYS", "k", "TAGS", "x", "UNIQ_KEY", "ID1", "mine", "yes")
	p.sendDelayed("t", "level", "DELAY", "18", "UNIQ_KEY", "ID2")
	p.sendDelayed("%RETRY%g", "again", "DELAY", "17", "UNIQ_KEY", "ID3", "RETRY_TOPIC", "t")
	body := exported(t, from)

	c := to.dial()
	res := answerBody[ImportResult](t, c.ask(remoting.ReqDuelogImport, body))
	require.Equal(t, ImportResult{Imported: 3, Refused: []ImportRefusal{}}, res)
	was, _ := listed(t, p)
	is, _ := listed(t, c)
	require.Len(t, is, 3)
	for i := range is {
		a, b := open(t, was[i]), open(t, is[i])
		require.Equal(t, was[i].FireMs, is[i].FireMs)
		require.Equal(t, a.body(), b.body())
		require.Equal(t, a.Topic, b.Topic)
		require.Equal(t, a.QueueID, b.QueueID)
		require.Equal(t, a.BornMs, b.BornMs)
		require.Equal(t, a.BornHost, b.BornHost)
		require.Equal(t, a.Flag, b.Flag)
		want, got := map[string]string{}, map[string]string{}
		for name, v := range message.Properties(a.Properties) {
			want[name] = v
		}
		for name, v := range message.Properties(b.Properties) {
			_, twice := got[name]
			require.False(t, twice, name)
			got[name] = v
		}
		delete(want, message.PropTimerEnqueueMs)
		delete(got, message.PropTimerEnqueueMs)
		require.Equal(t, want, got)
	}
	res = answerBody[ImportResult](t, c.ask(remoting.ReqDuelogImport, body, "skipExisting", "true"))
	require.Equal(t, 3, res.Skipped)
	require.Zero(t, res.Imported)
	res = answerBody[ImportResult](t, c.ask(remoting.ReqDuelogImport, body))
	require.Equal(t, 3, res.Imported, "without it a repeat stores everything again")
}

func answerBody[T any](t *testing.T, resp *remoting.Command) T {
	t.Helper()
	require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
	var v T
	require.NoError(t, json.Unmarshal(resp.Body, &v), string(resp.Body))
	return v
}

func TestATopicCanBeBroughtAlong(t *testing.T) {
	r := newRig(t, nil)
	require.NoError(t, r.broker.EnsureTopic("t", 3, 2, permRead|permWrite))
	require.NoError(t, r.broker.EnsureTopic("t", 9, 9, permRead), "one that exists is left alone")
	read, write, perm, _, ok := r.broker.Route("t")
	require.Equal(t, []int32{3, 2, 6}, []int32{read, write, perm})
	require.True(t, ok)
	require.Error(t, r.broker.EnsureTopic("no good", 1, 1, permRead))
}

func TestImportSaysWhatItDidNotStore(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	envelope := func(fireMs int64, m message.Message) []byte {
		rec, err := message.Append(nil, &m)
		require.NoError(t, err)
		return message.AppendEnvelope(nil, &message.Envelope{FireMs: fireMs, Record: rec})
	}
	body := envelope(1, message.Message{Topic: "t", Body: []byte("past")})
	body = append(body, envelope(r.store.NowMs()+400*86_400_000, message.Message{Topic: "t", Body: []byte("far")})...)
	body = append(body, envelope(1, message.Message{Topic: "no good", Body: []byte("m")})...)
	body = append(body, envelope(1, message.Message{Topic: topicHalf, Body: []byte("m")})...)
	body = append(body, envelope(1, message.Message{Topic: "t", QueueID: -4, Body: []byte("m")})...)
	body = append(body, envelope(1, message.Message{Topic: "t"})...)
	res := answerBody[ImportResult](t, c.ask(remoting.ReqDuelogImport, body))
	require.Equal(t, []int{1, 1}, []int{res.Imported, res.Due})
	require.Len(t, res.Refused, 5)
	for _, f := range res.Refused {
		require.NotEmpty(t, f.Reason)
	}
	require.Equal(t, []string{"past"}, bodies(t, c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...)))
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqDuelogImport, []byte("rubbish that is no envelope")).Code)
}
