package broker

import (
	"fmt"
	"math"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

const (
	// maxPendingRanges is how many ranges one request may count.
	maxPendingRanges = 2000
	// pendingLooks is how many messages one request may look at singly.
	pendingLooks = 4 << 20
)

// pendingCounts is the answer to DUELOG_PENDING_COUNTS.
type pendingCounts struct {
	NowMs   int64 `json:"nowMs"`
	Pending int64 `json:"pending"` // everything that waits, whenever it is due
	FromMs  int64 `json:"fromMs"`
	StepMs  int64 `json:"stepMs"`
	// Counts are those of [FromMs+i*StepMs, FromMs+(i+1)*StepMs), of one topic if the
	// request names one.
	Counts []int64 `json:"counts"`
	// Topics is, when it was asked for, how many of the whole range wait for each
	// topic. CompleteToMs is where counting one by one ended: what is due later is
	// in neither Topics nor, with a topic, in Counts.
	Topics       map[string]int64 `json:"topics,omitempty"`
	CompleteToMs int64            `json:"completeToMs"`
}

// handlePendingCounts serves DUELOG_PENDING_COUNTS 30001: how many messages wait
// for each of ranges ranges of stepMs from fromMs on. Without more that costs
// little, however many wait. With topic, only those of it are counted, and with
// byTopic=true they are told apart by topic: then they are looked at one by one,
// 4 Mi at most, and completeToMs tells how far that reached.
func handlePendingCounts(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	a, byTopic, err := parsePendingCounts(cmd)
	if err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	a.NowMs, a.Pending = b.store.NowMs(), b.store.Pending()
	topic := cmd.Get("topic")
	if topic == "" {
		counts, err := b.store.PendingHistogram(a.FromMs, a.StepMs, len(a.Counts))
		if err != nil {
			b.reply(c, cmd, remoting.RespSystemError, err.Error())
			return
		}
		a.Counts = counts
	}
	if topic != "" || byTopic {
		if err := b.countPending(a, topic, byTopic); err != nil {
			b.reply(c, cmd, remoting.RespSystemError, err.Error())
			return
		}
	}
	b.replyJSON(c, cmd, a)
}

func parsePendingCounts(cmd *remoting.Command) (a *pendingCounts, byTopic bool, err error) {
	a = &pendingCounts{}
	if a.FromMs, err = cmd.Int64("fromMs"); err != nil {
		return nil, false, err
	}
	if a.StepMs, err = cmd.Int64("stepMs"); err != nil {
		return nil, false, err
	}
	n, err := cmd.Int32("ranges")
	if err != nil {
		return nil, false, err
	}
	if byTopic, err = cmd.BoolOr("byTopic", false); err != nil {
		return nil, false, err
	}
	if n < 1 || n > maxPendingRanges || a.FromMs < 0 || a.StepMs < 1 || a.StepMs > (math.MaxInt64-a.FromMs)/maxPendingRanges {
		return nil, false, fmt.Errorf("%d ranges of %d ms from %d: give 1 to %d ranges of at least 1 ms after 1970", n, a.StepMs, a.FromMs, maxPendingRanges)
	}
	a.Counts = make([]int64, n)
	a.CompleteToMs = a.FromMs + int64(n)*a.StepMs
	return a, byTopic, nil
}

// countPending looks at what waits, message by message.
func (b *Broker) countPending(a *pendingCounts, only string, byTopic bool) error {
	if byTopic {
		a.Topics = map[string]int64{}
	}
	byQueue := map[*store.Queue]int64{}
	looks := 0
	for m, err := range b.store.PendingAfter(store.PendingPosition{FireMs: a.FromMs}, a.CompleteToMs) {
		if err != nil {
			return err
		}
		if looks == pendingLooks {
			a.CompleteToMs = m.FireMs
			break
		}
		looks++
		if m.Queue == nil || only != "" && m.Queue.Topic() != only {
			continue
		}
		if only != "" {
			a.Counts[(m.FireMs-a.FromMs)/a.StepMs]++
		}
		byQueue[m.Queue]++
	}
	for q, n := range byQueue {
		if byTopic {
			a.Topics[q.Topic()] += n
		}
	}
	return nil
}

// handleTimerMetrics serves GET_TIMER_METRICS 61: how many messages wait for each
// topic, as far as 4 Mi reach.
func handleTimerMetrics(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	a := &pendingCounts{CompleteToMs: math.MaxInt64}
	if err := b.countPending(a, "", true); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	type count struct {
		Count int64 `json:"count"`
		Ms    int64 `json:"timeStamp"`
	}
	counts := make(map[string]count, len(a.Topics))
	for topic, n := range a.Topics {
		counts[topic] = count{n, b.store.NowMs()}
	}
	b.replyJSON(c, cmd, struct {
		DataVersion dataVersion      `json:"dataVersion"`
		Counts      map[string]count `json:"timingCount"`
	}{dataVersion{Timestamp: b.store.NowMs()}, counts})
}
