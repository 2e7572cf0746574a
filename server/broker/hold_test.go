package broker

import (
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

// held waits until so many pulls are waiting.
func (r *rig) held(n float64) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return metric(r.t, r.reg, "duelog_held_pulls") == n }, patience, time.Millisecond)
}

// suspend is a pull that may wait.
func suspend(topic, group string, offset int64, change ...string) []string {
	return pullExtOf(topic, group, offset, append([]string{"sysFlag", "6"}, change...)...)
}

func TestHeldPullGetsTheMessageThatArrives(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	answer := r.dial().start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	r.held(1)
	r.put("t", 0, "", "m", 0)
	resp := await(t, answer)
	require.Equal(t, []string{"m"}, bodies(t, resp))
	require.EqualValues(t, 1, next(t, resp))
	r.held(0)
}

func TestHeldPullGetsAScheduledMessageWhenItIsDue(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	due := r.store.NowMs() + 150
	answer := r.dial().start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	r.put("t", 0, "", "m", due)
	got := messages(t, await(t, answer))
	require.Len(t, got, 1)
	require.GreaterOrEqual(t, got[0].StoreMs, due, "its store time is when it fired")
	require.GreaterOrEqual(t, r.store.NowMs(), due)
}

func TestHeldPullIsAnsweredAtItsDeadline(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	begin := time.Now()
	resp := r.dial().ask(remoting.ReqPullMessage, nil, suspend("t", "g", 0, "suspendTimeoutMillis", "50")...)
	require.Equal(t, remoting.RespPullNotFound, resp.Code)
	require.EqualValues(t, 0, next(t, resp))
	require.GreaterOrEqual(t, time.Since(begin), 50*time.Millisecond)
	r.held(0)
}

func TestEarlierDeadlineOvertakesALaterOne(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	c := r.dial()
	late := c.start(remoting.ReqPullMessage, suspend("t", "g", 0, "suspendTimeoutMillis", "60000")...)
	r.held(1)
	resp := c.ask(remoting.ReqPullMessage, nil, suspend("t", "g", 0, "suspendTimeoutMillis", "1")...)
	require.Equal(t, remoting.RespPullNotFound, resp.Code)
	require.Empty(t, late)
}

func TestHeldPullWaitsOnWhenTheMessageIsNotForIt(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	answer := r.dial().start(remoting.ReqPullMessage, suspend("t", "g", 0, "subscription", "b")...)
	r.held(1)
	for _, tag := range []string{"a", "", "a", "b"} {
		r.put("t", 0, tag, "for "+tag, 0)
	}
	resp := await(t, answer)
	require.Equal(t, []string{"for b"}, bodies(t, resp))
	require.EqualValues(t, 4, next(t, resp))
}

func TestDeadlineMovesBehindWhatDidNotMatch(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	answer := r.dial().start(remoting.ReqPullMessage, suspend("t", "g", 0, "subscription", "b", "suspendTimeoutMillis", "300")...)
	r.held(1)
	r.put("t", 0, "a", "not for it", 0)
	resp := await(t, answer)
	require.Equal(t, remoting.RespPullRetryImmediately, resp.Code)
	require.EqualValues(t, 1, next(t, resp))
}

func TestOneMessageWakesEveryPullOfItsQueue(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	c := r.dial()
	var answers []<-chan *remoting.Command
	for _, group := range []string{"g1", "g2", "g3"} {
		answers = append(answers, c.start(remoting.ReqPullMessage, suspend("t", group, 0)...))
	}
	other := c.start(remoting.ReqPullMessage, suspend("t", "g1", 0, "queueId", "1")...)
	r.held(4)
	r.put("t", 0, "", "m", 0)
	for _, answer := range answers {
		require.Equal(t, []string{"m"}, bodies(t, await(t, answer)))
	}
	r.held(1)
	require.Empty(t, other)
}

func TestDisconnectForgetsHeldPulls(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	c := r.dial()
	for range 10 {
		c.start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	}
	r.held(10)
	require.NoError(t, c.Close())
	r.held(0)
	r.put("t", 0, "", "m", 0) // wakes nobody
	require.Equal(t, []string{"m"}, bodies(t, r.dial().ask(remoting.ReqPullMessage, nil, suspend("t", "g", 0)...)))
}

func TestDrainAnswersHeldPullsAndHoldsNoMore(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	c := r.dial()
	answer := c.start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	r.held(1)
	r.broker.Drain()
	require.Equal(t, remoting.RespPullNotFound, await(t, answer).Code)
	require.Equal(t, remoting.RespPullNotFound, c.ask(remoting.ReqPullMessage, nil, suspend("t", "g", 0)...).Code)
}

// An empty answer would have them ask again at once.
func TestTooManyHeldPullsAreRefusedSoThatClientsPause(t *testing.T) {
	r := newRig(t, &Options{AutoCreateGroup: true, MaxHeldPulls: 1})
	r.topic("t", 1)
	c := r.dial()
	c.start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	r.held(1)
	resp := c.ask(remoting.ReqPullMessage, nil, suspend("t", "g", 0)...)
	require.Equal(t, remoting.RespSystemError, resp.Code)
	require.Equal(t, "too many pulls wait, try again later", resp.Remark)
	require.EqualValues(t, 0, next(t, resp))
}

func TestOneConnectionCannotTakeThePlacesOfOthers(t *testing.T) {
	r := newRig(t, nil)
	require.Equal(t, MaxQueues, r.broker.hold.perConn, "one pull for each queue a topic can have")
	r.broker.hold.perConn = 2
	r.topic("t", 1)
	greedy, modest := r.dial(), r.dial()
	for range 2 {
		greedy.start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	}
	r.held(2)
	require.Equal(t, remoting.RespSystemError, greedy.ask(remoting.ReqPullMessage, nil, suspend("t", "g", 0)...).Code)
	answer := modest.start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	r.held(3)
	r.put("t", 0, "", "m", 0)
	require.Equal(t, []string{"m"}, bodies(t, await(t, answer)))
}

// Together they are owed far more than may wait for it.
func TestPullsThatWakeTogetherDoNotCostASlowReaderItsConnection(t *testing.T) {
	const pulls = 200
	r := newRig(t, nil)
	r.topic("t", 1)
	nc, err := net.Dial("tcp", r.listen(&remoting.ServerOptions{MaxOutBytes: 2 << 20}))
	require.NoError(t, err)
	defer nc.Close()
	var requests []byte
	for range pulls {
		requests = remoting.AppendFrame(requests, request(t, remoting.ReqPullMessage, nil, suspend("t", "g", 0)...))
	}
	_, err = nc.Write(requests)
	require.NoError(t, err)
	r.held(pulls)
	r.put("t", 0, "", strings.Repeat("x", 200<<10), 0)
	r.held(0)
	codes := map[int32]int{}
	for range pulls {
		var resp remoting.Command
		require.NoError(t, remoting.Decode(readFrame(t, nc), &resp))
		codes[resp.Code]++
		if resp.Code == remoting.RespPullNotFound {
			require.EqualValues(t, 0, next(t, &resp), "what it could not take comes again")
		}
	}
	require.Positive(t, codes[remoting.RespSuccess])
	require.Positive(t, codes[remoting.RespPullNotFound])
	require.Equal(t, pulls, codes[remoting.RespSuccess]+codes[remoting.RespPullNotFound])
}

func TestMessagesForWhichThereIsNoRoomAreLeftForLater(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	r.put("t", 0, "", strings.Repeat("x", 100<<10), 0)
	delivered := make(chan bool, 1)
	near, far := net.Pipe() // holds nothing itself
	c := remoting.NewClient(near, &remoting.ClientOptions{MaxOutBytes: 256 << 10, OnRequest: func(c *remoting.Conn, cmd *remoting.Command) {
		h, _ := parsePull(cmd)
		p, _ := r.broker.newPull(c, cmd, &h)
		_ = c.Oneway(&remoting.Command{Body: make([]byte, 200<<10)}) // as another pull's answer would
		delivered <- r.broker.deliver(p)
	}})
	defer c.Close()
	_, err := far.Write(remoting.AppendFrame(nil, request(t, remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...)))
	require.NoError(t, err)
	require.True(t, await(t, delivered))
	readFrame(t, far)
	var resp remoting.Command
	require.NoError(t, remoting.Decode(readFrame(t, far), &resp))
	require.Equal(t, remoting.RespPullNotFound, resp.Code)
	require.EqualValues(t, 0, next(t, &resp))
}

// readFrame reads one frame, without its length, off a raw connection.
func readFrame(t testing.TB, nc net.Conn) []byte {
	t.Helper()
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(patience)))
	var n [4]byte
	_, err := io.ReadFull(nc, n[:])
	require.NoError(t, err)
	frame := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err = io.ReadFull(nc, frame)
	require.NoError(t, err)
	return frame
}

func TestTopicDeletionEndsHeldPulls(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	c := r.dial()
	answer := c.start(remoting.ReqPullMessage, suspend("t", "g", 0)...)
	r.held(1)
	require.NoError(t, r.store.DeleteTopic("t"))
	require.Contains(t, []int32{remoting.RespPullNotFound, remoting.RespSystemError}, await(t, answer).Code, "empty or closed already")
	r.held(0)
}

// Pulls end by messages, deadlines and disconnects at once; each must be
// answered exactly once or not at all, and nothing may be left behind.
func TestHeldPullsEndOnceHoweverTheyEnd(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 4)
	answers := make(chan *remoting.Command, 4000)
	var clients []*client
	for i := range 8 {
		c := r.dial()
		clients = append(clients, c)
		for j := range 100 {
			cmd := request(t, remoting.ReqPullMessage, nil, suspend("t", "g", 0, "queueId", string(rune('0'+j%4)),
				"subscription", []string{"a", "b"}[i%2], "suspendTimeoutMillis", []string{"1", "5", "20", "15000"}[j/4%4])...)
			c.Go(cmd, func(resp *remoting.Command, err error) {
				if err == nil {
					answers <- resp.Clone()
				}
			})
		}
	}
	for i := range 40 {
		r.put("t", int32(i%4), []string{"a", "z"}[i/4%2], "m", 0)
		if i == 10 {
			require.NoError(t, clients[0].Close())
			require.NoError(t, clients[1].Close())
		}
	}
	for i := range int32(4) {
		r.put("t", i, "b", "m", 0)
	}
	for range 600 { // of the six clients that stay
		await(t, answers)
	}
	r.held(0)
	require.Empty(t, r.broker.hold.byConn)
	require.Empty(t, r.broker.hold.parked)
}
