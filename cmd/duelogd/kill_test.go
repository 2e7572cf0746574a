package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// killRounds is how often the process is killed; DUELOG_KILL_ROUNDS sets it.
func killRounds(t *testing.T) int {
	rounds := 5
	if s := os.Getenv("DUELOG_KILL_ROUNDS"); s != "" {
		_, err := fmt.Sscan(s, &rounds)
		require.NoError(t, err)
	}
	return rounds
}

const (
	killTopic   = "killed"
	killQueues  = 3
	killSenders = 6
)

// TestKilledProcessLosesNothingAcknowledged kills duelogd with SIGKILL at random
// moments while producers send ordinary messages and such that are due within
// two seconds, and starts it again on the same files. In the end every message
// that was acknowledged is there once, at the offset at which a consumer saw it
// before a kill, and none came before its time.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	d := newDaemon(t)
	d.start(t)
	require.NoError(t, d.client.CreateTopic(t.Context(), d.listen, &client.TopicConfig{
		Name: killTopic, ReadQueues: killQueues, WriteQueues: killQueues, Perm: client.PermRead | client.PermWrite,
	}))
	sent := &ledger{due: map[string]int64{}, acked: map[string]bool{}}
	for round := range killRounds(t) {
		stop := sent.sendMany(d, round)
		time.Sleep(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		before := d.readAll(t)
		d.kill(t)
		stop()
		d.start(t)
		after := d.readAll(t)
		for at, m := range before {
			require.Equal(t, string(m.Body), string(after[at].Body), "%s after kill %d", at, round)
		}
	}
	all := d.awaitAll(t, sent)
	count := map[string]int{}
	for at, m := range all {
		body := string(m.Body)
		count[body]++
		require.GreaterOrEqual(t, m.StoreMs, sent.due[body], "%s at %s came too early", body, at)
	}
	for body := range sent.acked {
		require.Equal(t, 1, count[body], "acknowledged message %s", body)
	}
	for body, n := range count {
		require.Equal(t, 1, n, "message %s", body)
	}
	require.NotEmpty(t, sent.acked)
	t.Logf("%d acknowledged of %d sent, %d there", len(sent.acked), len(sent.due), len(all))
}

// ledger is what producers know of their messages, by body.
type ledger struct {
	mu    sync.Mutex
	due   map[string]int64 // of all that were sent
	acked map[string]bool
}

// sendMany sends from several goroutines until stop is called, which returns
// when all of them have ended.
func (l *ledger) sendMany(d *daemon, round int) (stop func()) {
	var senders sync.WaitGroup
	done := make(chan struct{})
	for sender := range killSenders {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					l.send(d, fmt.Sprintf("%d.%d.%d", round, sender, i))
				}
			}
		})
	}
	return func() { close(done); senders.Wait() }
}

func (l *ledger) send(d *daemon, body string) {
	due := int64(0)
	if rand.IntN(3) > 0 {
		due = time.Now().UnixMilli() + rand.Int64N(2000)
	}
	l.mu.Lock()
	l.due[body] = due
	l.mu.Unlock()
	if d.send(body, due) == nil {
		l.mu.Lock()
		l.acked[body] = true
		l.mu.Unlock()
	}
}

// awaitAll returns all messages when none is due any more. A message behind the
// latest shows it, for every queue fires in the order of fire times.
func (d *daemon) awaitAll(t *testing.T, l *ledger) map[string]message.Message {
	t.Helper()
	last := time.Now().UnixMilli()
	for _, due := range l.due {
		last = max(last, due)
	}
	l.due["the end"] = last + 1
	require.NoError(t, d.send("the end", last+1))
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		all := d.readAll(t)
		for _, m := range all {
			if string(m.Body) == "the end" {
				return d.readAll(t) // of the other queues too
			}
		}
		require.True(t, time.Now().Before(deadline), "the last message does not come")
	}
}
