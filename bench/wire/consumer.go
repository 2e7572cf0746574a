package wire

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

const (
	pullMessages = 32
	// pullFlags: the pull may wait, and carries its subscription.
	pullFlags = 1<<1 | 1<<2
	// retryAfter is the pause after a pull that the broker refused.
	retryAfter = 50 * time.Millisecond
)

// Places of the fields of a pull that change.
const (
	pullOffset = iota
	pullCommit
)

// consumer pulls all queues over one connection.
type consumer struct {
	topic   *Topic
	client  *remoting.Client
	deliver func([]byte, time.Time)
	next    []int64 // by queue; touched on the reader's goroutine, but at the start
	pulls   []*remoting.Command
	answers []func(*remoting.Command, error)
	retries sync.WaitGroup
	ended   chan struct{}
}

// Subscribe starts a consumer of group and hands every message to deliver, from
// one goroutine. stop may be called once.
func (t *Topic) Subscribe(ctx context.Context, group string, deliver func(body []byte, at time.Time)) (stop func(), err error) {
	client, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &consumer{topic: t, client: client, deliver: deliver, next: t.position(group), ended: make(chan struct{})}
	for q := range t.o.Queues {
		c.pulls = append(c.pulls, t.pull(group, q))
		c.answers = append(c.answers, func(r *remoting.Command, err error) { c.answer(q, r, err) })
	}
	started := make(chan struct{}) // no answer before all pulls are out
	for q := range t.o.Queues {
		c.prepare(q)
		client.Go(c.pulls[q], func(r *remoting.Command, err error) {
			<-started
			c.answer(q, r, err)
		})
	}
	close(started)
	return func() {
		close(c.ended)
		client.Close()
		c.retries.Wait()
		t.leave(group, c.next)
	}, nil
}

func (t *Topic) pull(group string, queue int) *remoting.Command {
	return t.request(remoting.ReqPullMessage,
		field("queueOffset", "0"), field("commitOffset", "0"),
		field("consumerGroup", group), field("topic", t.o.Topic), field("queueId", strconv.Itoa(queue)),
		field("maxMsgNums", strconv.Itoa(pullMessages)), field("sysFlag", strconv.Itoa(pullFlags)),
		field("suspendTimeoutMillis", strconv.FormatInt(t.o.Hold.Milliseconds(), 10)),
		field("subscription", "*"), field("subVersion", "0"), field("expressionType", "TAG"))
}

// position returns where group goes on.
func (t *Topic) position(group string) []int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p, ok := t.positions[group]; ok {
		return p
	}
	return make([]int64, t.o.Queues)
}

func (t *Topic) leave(group string, next []int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.positions[group] = next
}

func (c *consumer) prepare(q int) {
	s := strconv.FormatInt(c.next[q], 10)
	c.pulls[q].Ext[pullOffset].Value, c.pulls[q].Ext[pullCommit].Value = s, s
}

func (c *consumer) again(q int) {
	c.prepare(q)
	c.client.Go(c.pulls[q], c.answers[q])
}

// answer takes the result of a pull of queue q. A lost connection ends it: what
// does not come any more is missed by who counts.
func (c *consumer) answer(q int, r *remoting.Command, err error) {
	at := time.Now()
	if err != nil {
		return
	}
	next, err := r.Int64("nextBeginOffset")
	if err != nil || r.Code == remoting.RespSystemError || r.Code == remoting.RespSystemBusy {
		c.retry(q)
		return
	}
	c.next[q] = next
	c.again(q)
	if r.Code == remoting.RespSuccess {
		c.handOver(r.Body, at)
	}
}

// retry pulls again after a pause.
func (c *consumer) retry(q int) {
	c.retries.Go(func() {
		t := time.NewTimer(retryAfter)
		defer t.Stop()
		select {
		case <-c.ended:
		case <-t.C:
			c.again(q)
		}
	})
}

// handOver delivers the messages of a pull. Bytes that are no message are
// delivered as they are, so that they get noticed.
func (c *consumer) handOver(body []byte, at time.Time) {
	var m message.Message
	for len(body) > 0 {
		one, rest, err := message.Split(body)
		if err == nil {
			err = message.Decode(one, &m)
		}
		if err != nil {
			c.deliver(body, at)
			return
		}
		c.deliver(m.Body, at)
		body = rest
	}
}
