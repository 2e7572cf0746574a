package tools

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/rocketmq"
	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// TestAStoreOfARealRocketmqBrokerIsImported needs Java and the jars that
// `duelog-bench peers --install` fetches, and takes half a minute.
func TestAStoreOfARealRocketmqBrokerIsImported(t *testing.T) {
	if os.Getenv("DUELOG_BENCH_PEERS") == "" {
		t.Skip("starts an Apache RocketMQ broker: set DUELOG_BENCH_PEERS=1")
	}
	system, err := rocketmq.New(bench.Stock)
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	defer system.Close()
	require.NoError(t, system.Start(ctx, dir))
	c := client.New(&client.Options{NameServer: system.(*rocketmq.System).NameServer(), Timeout: time.Minute})
	defer c.Close()

	due := time.Now().Add(2 * time.Hour).UnixMilli()
	send := func(id, body, name, value string) {
		props := message.AppendProperty(nil, message.PropUniqKey, id)
		props = message.AppendProperty(props, name, value)
		_, err := c.Send(ctx, &client.Outgoing{Topic: "bench", Queue: 3, Body: []byte(body), Properties: string(props), Group: "p"})
		require.NoError(t, err, id)
	}
	for i := range 5 {
		send(fmt.Sprint("T", i), fmt.Sprint("timed ", i), message.PropTimerDeliverMs, strconv.FormatInt(due+int64(i)*777, 10))
	}
	send("L1", "level", message.PropDelayLevel, "17")
	send("S1", "soon", message.PropTimerDelayMs, "1500")
	send("S2", "soon too", message.PropDelayLevel, "1")

	// The two that are soon have come when they can be pulled.
	route, err := c.Route(ctx, "bench")
	require.NoError(t, err)
	q := route.Read[3]
	for at, came := int64(0), 0; came < 2; {
		p, err := c.Pull(ctx, q, at, client.PullOptions{Group: "g", Wait: 5 * time.Second})
		require.NoError(t, err)
		at, came = p.Next, came+len(p.Messages)
	}
	require.NoError(t, system.Kill9())

	got, s := scanned(t, filepath.Join(dir, "store"))
	want := map[string]int64{}
	for i := range 5 {
		want[fmt.Sprint("bench timed ", i)] = due + int64(i)*777
	}
	require.Contains(t, got, "bench level")
	require.InDelta(t, time.Now().Add(time.Hour).UnixMilli(), got["bench level"], 600_000)
	delete(got, "bench level")
	require.Equal(t, want, got)
	require.Zero(t, s.seen.damaged)
	require.EqualValues(t, 2, s.seen.delivered)

	code, out, errs := runNow(t, "import-rocketmq", filepath.Join(dir, "store"), "--store", filepath.Join(dir, "new"), "--segment-size", "1048576", "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, "6,0,0,0")
	addrs, stop, err := startBroker(filepath.Join(dir, "new"))
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()
	code, out, errs = runNow(t, "topics", "--namesrv", addrs.Namesrv, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, "bench,broker-a,8,8,rw,0,6,")
	code, out, errs = runNow(t, "export", "--online", "--namesrv", addrs.Namesrv)
	require.Equal(t, ExitOK, code, errs)
	for i := range 5 {
		require.Contains(t, out, fmt.Sprintf(`"due_ms":%d,"properties"`, due+int64(i)*777))
	}
	require.Contains(t, out, `"body":"level"`)
}
