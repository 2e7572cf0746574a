package broker

import (
	"fmt"
	"strconv"
	"time"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// handleRuntimeInfo serves GET_BROKER_RUNTIME_INFO 28: a table of figures as text,
// under the names that RocketMQ's tools look for. What this broker has no figure
// for, such as the length of a thread pool's queue, is 0 where a tool would fail
// without it. duelogPending, duelogOverdueMs and duelogStoredBytes are its own.
func handleRuntimeInfo(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	st := b.store.Stats()
	table := map[string]string{
		"brokerVersionDesc": "V5_5_0", // the release whose protocol is spoken, see remoting.Version
		"brokerVersion":     strconv.Itoa(int(remoting.Version)),
		"brokerActive":      "true",
		"bootTimestamp":     strconv.FormatInt(b.started.UnixMilli(), 10),
		"runtime":           runtimeText(time.Since(b.started)),
		"duelogPending":     strconv.FormatInt(st.Pending, 10),
		"duelogOverdueMs":   strconv.FormatInt(st.BehindMs, 10),
		"duelogStoredBytes": strconv.FormatInt(storedBytes(&st), 10),
	}
	for _, name := range idleFigures {
		table[name] = "0"
	}
	b.addTraffic(table)
	addTimer(table, &st)
	b.replyJSON(c, cmd, struct {
		Table map[string]string `json:"table"`
	}{table})
}

// idleFigures are those of a broker in which nothing queues.
var idleFigures = []string{
	"sendThreadPoolQueueSize", "pullThreadPoolQueueSize", "ackThreadPoolQueueSize", "queryThreadPoolQueueSize",
	"sendThreadPoolQueueHeadWaitTimeMills", "pullThreadPoolQueueHeadWaitTimeMills",
	"ackThreadPoolQueueHeadWaitTimeMills", "queryThreadPoolQueueHeadWaitTimeMills",
	"pageCacheLockTimeMills", "commitLogDiskRatio", "consumeQueueDiskRatio", "remainHowManyDataToFlush", "dispatchBehindBytes",
}

func (b *Broker) addTraffic(table map[string]string) {
	now := b.sampleTraffic()
	in := func(s *sample) int64 { return s.in }
	out := func(s *sample) int64 { return s.out }
	table["putTps"] = b.rates.perSecond(now, in)
	transferred := b.rates.perSecond(now, out)
	for _, name := range []string{"getTransferredTps", "getTotalTps", "getFoundTps"} {
		table[name] = transferred
	}
	table["getMissTps"] = "0.00 0.00 0.00"
	table["timerEnqueueTps"] = fmt.Sprintf("%.1f", b.rates.lately(now, func(s *sample) int64 { return s.placed }))
	table["timerDequeueTps"] = fmt.Sprintf("%.1f", b.rates.lately(now, func(s *sample) int64 { return s.fired }))
	morning, evening := b.rates.days()
	for prefix, figure := range map[string]func(*sample) int64{"msgPutTotal": in, "msgGetTotal": out} {
		table[prefix+"TodayNow"] = strconv.FormatInt(figure(&now), 10)
		table[prefix+"TodayMorning"] = strconv.FormatInt(figure(&morning), 10)
		table[prefix+"YesterdayMorning"] = strconv.FormatInt(figure(&evening), 10)
	}
	table["putMessageTimesTotal"] = table["msgPutTotalTodayNow"]
	table["earliestMessageTimeStamp"] = strconv.FormatInt(b.earliestMs(), 10)
}

// addTimer fills in what mqadmin shows as the progress of the timer: everything
// is indexed when it is acknowledged, so nothing is ever behind there.
func addTimer(table map[string]string, st *store.Stats) {
	table["timerReadBehind"] = strconv.FormatInt(st.BehindMs/1000, 10)
	table["timerOffsetBehind"] = "0"
	table["timerCongestNum"] = strconv.FormatInt(st.Pending, 10)
}

// earliestMs is when the oldest message became visible that can still be read; -1
// when there is none.
func (b *Broker) earliestMs() int64 {
	earliest := int64(-1)
	for _, name := range b.topics.Names() {
		topic, ok := b.topics.Lookup(name)
		if !ok {
			continue
		}
		for id := range topic.ReadQueues {
			q := topic.lookup(id)
			if q == nil {
				continue
			}
			if ms := lastVisibleMs(q, q.Min()+1); ms > 0 && (earliest < 0 || ms < earliest) {
				earliest = ms
			}
		}
	}
	return earliest
}

func storedBytes(st *store.Stats) (total int64) {
	for _, n := range st.StoredBytes {
		total += n
	}
	return total
}

// runtimeText is a duration the way RocketMQ writes it.
func runtimeText(d time.Duration) string {
	s := int64(d.Seconds())
	return fmt.Sprintf("[ %d days, %d hours, %d minutes, %d seconds ]", s/86400, s/3600%24, s/60%60, s%60)
}
