package server

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
)

// runTestDemo runs a fast demonstration against a broker until the test ends.
func runTestDemo(t *testing.T, broker string) *buffer {
	t.Helper()
	out := newBuffer()
	d := newDemo(broker, out, slog.New(slog.DiscardHandler))
	d.every, d.ahead = 50*time.Millisecond, 100*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { d.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return out
}

var demoLine = regexp.MustCompile(`(?m)^demo: #(\d+) +due \S+ +came \S+ +late +(-?\d+\.\d\d) ms$`)

func TestTheDemonstrationPrintsWhenItsMessagesCame(t *testing.T) {
	r := startServer(t, anywhere(t))
	out := runTestDemo(t, r.Addrs().Broker)
	out.waitFor(t, "demo: #1 ", "demo: #2 ", "demo: #3 ")
	for _, m := range demoLine.FindAllStringSubmatch(out.String(), -1) {
		require.NotContains(t, m[2], "-", "message %s came early", m[1])
	}
}

func TestTwoDemonstrationsOnOneBrokerPrintTheirOwnMessagesOnce(t *testing.T) {
	r := startServer(t, anywhere(t))
	outs := []*buffer{runTestDemo(t, r.Addrs().Broker), runTestDemo(t, r.Addrs().Broker)}
	for _, out := range outs {
		out.waitFor(t, "demo: #1 ", "demo: #4 ")
	}
	for _, out := range outs {
		seen := map[string]bool{}
		for _, m := range demoLine.FindAllStringSubmatch(out.String(), -1) {
			require.False(t, seen[m[1]], "message %s was printed twice", m[1])
			seen[m[1]] = true
		}
	}
}

func TestTheServerRunsTheDemonstrationWhenAsked(t *testing.T) {
	c := anywhere(t)
	c.Demo = true
	r := startServer(t, c)
	r.out.waitFor(t, "is ready", "demo: one message per second")
}

func TestTheDemonstrationPrintsWhyAMessageWasRefused(t *testing.T) {
	c := anywhere(t)
	c.AutoCreateTopic = false
	r := startServer(t, c)
	out := runTestDemo(t, r.Addrs().Broker)
	out.waitFor(t, "demo: #1 was refused: code 17")
}

func TestDamagedPullRepliesAreAnErrorOfTheDemonstration(t *testing.T) {
	good, err := message.Append(nil, &message.Message{Topic: demoTopic, Body: []byte("#1"), Properties: "TIMER_DELIVER_MS\x015\x02demo\x01id\x02"})
	require.NoError(t, err)
	found, err := parsePulled(append(good, good...))
	require.NoError(t, err)
	require.Equal(t, []demoMessage{{"id", "#1", 5}, {"id", "#1", 5}}, found)
	_, err = parsePulled(good[:len(good)-1])
	require.Error(t, err)
}
