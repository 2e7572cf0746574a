package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// buffer is a bytes.Buffer that several goroutines may use; changed is
// signalled after every write.
type buffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{}
}

func newBuffer() *buffer { return &buffer{changed: make(chan struct{}, 1)} }

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.changed <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// waitFor returns when the text holds all of want.
func (b *buffer) waitFor(t *testing.T, want ...string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	for {
		missing := ""
		for _, w := range want {
			if !strings.Contains(b.String(), w) {
				missing = w
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-b.changed:
		case <-deadline:
			require.Contains(t, b.String(), missing)
		}
	}
}

// running is a Server under test.
type running struct {
	*Server
	out  *buffer
	stop func() error // graceful; returns what Serve returned
}

// startServer runs a server until the test ends or stop is called.
func startServer(t *testing.T, c *Config) *running {
	t.Helper()
	out := newBuffer()
	s, err := New(c, &Options{Out: out})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		require.NoError(t, stop())
		http.DefaultClient.CloseIdleConnections()
	})
	return &running{Server: s, out: out, stop: stop}
}

// fetch gets a page of the admin address.
func (r *running) fetch(t *testing.T, path string) (code int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + r.Addrs().Admin + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// ask makes one request on a connection of its own.
func ask(t *testing.T, address string, code int32, body []byte, ext ...remoting.Field) *remoting.Command {
	t.Helper()
	client, err := remoting.Dial(t.Context(), address, nil)
	require.NoError(t, err)
	defer client.Close()
	w := &demoWire{client: client}
	r, err := w.invoke(t.Context(), code, body, ext...)
	require.NoError(t, err)
	return r
}

func TestAStartedServerAnswersOnEveryAddress(t *testing.T) {
	r := startServer(t, anywhere(t))
	code, body := r.fetch(t, "/readyz")
	require.Equal(t, http.StatusOK, code, body)
	code, body = r.fetch(t, "/healthz")
	require.Equal(t, http.StatusOK, code, body)
	a := r.Addrs()
	for _, address := range []string{a.Broker, a.VIP, a.Namesrv} {
		reply := ask(t, address, remoting.ReqGetRouteInfoByTopic, nil, field("topic", "TBW102"))
		require.Equal(t, remoting.RespSuccess, reply.Code, reply.Remark)
		require.Contains(t, string(reply.Body), a.Advertised, "the route must name the broker's address")
		reply = ask(t, address, remoting.ReqGetMaxOffset, nil, field("topic", "TBW102"), number("queueId", 0))
		require.Equal(t, remoting.RespSuccess, reply.Code, "broker codes are served everywhere: %s", reply.Remark)
		reply = ask(t, address, 31999, nil)
		require.Equal(t, remoting.RespRequestCodeNotSupported, reply.Code)
	}
	require.NoError(t, r.stop())
}

func TestMetricsOfAllPartsAreServed(t *testing.T) {
	r := startServer(t, anywhere(t))
	ask(t, r.Addrs().Broker, remoting.ReqGetRouteInfoByTopic, nil, field("topic", "none"))
	_, body := r.fetch(t, "/metrics")
	for _, name := range []string{
		"duelog_lateness_seconds_bucket", "duelog_pending_messages 0", "duelog_connections_accepted_total 1",
		`duelog_connections_closed_total{reason="idle"} 0`, `rocketmq_timer_dequeue_lag{cluster="DefaultCluster",node_id="broker-a"} 0`,
		"rocketmq_topic_number", "go_goroutines", "duelog_build_info",
	} {
		require.Contains(t, body, name)
	}
}

func TestAStoppedServerLetsEverythingGo(t *testing.T) {
	c := anywhere(t)
	r := startServer(t, c)
	a := r.Addrs()
	require.NoError(t, r.stop())
	require.False(t, r.Ready())
	for _, address := range []string{a.Broker, a.VIP, a.Namesrv, a.Admin} {
		l, err := net.Listen("tcp", address)
		require.NoError(t, err, "the address must be free again")
		l.Close()
	}
	st, err := store.Open(c.Data, &store.Options{SegmentSize: c.SegmentSize, DelaySegmentSize: c.SegmentSize})
	require.NoError(t, err, "the store must be free again")
	require.NoError(t, st.Close())
}

func TestASecondProcessOnTheStoreIsToldWhoHasIt(t *testing.T) {
	c := anywhere(t)
	startServer(t, c)
	_, err := New(c, nil)
	var locked *store.LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, os.Getpid(), locked.PID)
	require.ErrorContains(t, err, fmt.Sprint(os.Getpid()))
	require.Equal(t, ExitLocked, ExitCode(err))
}

func TestATakenPortIsReportedBeforeTheStoreIsTouched(t *testing.T) {
	r := startServer(t, anywhere(t))
	c := anywhere(t)
	c.NamesrvListen = r.Addrs().Namesrv
	c.Data += "/new"
	_, err := New(c, nil)
	require.Equal(t, ExitListen, ExitCode(err))
	require.NoDirExists(t, c.Data)
}

func TestTheSameCommandTwiceIsToldWhoRunsAlready(t *testing.T) {
	c := anywhere(t)
	c.Listen = startServer(t, c).Addrs().Broker
	_, err := New(c, nil)
	require.Equal(t, ExitListen, ExitCode(err))
	require.ErrorContains(t, err, fmt.Sprintf("process %d last opened the store", os.Getpid()))
}

func TestAServerThatNeverServedCanBeClosed(t *testing.T) {
	c := anywhere(t)
	s, err := New(c, nil)
	require.NoError(t, err)
	require.False(t, s.Ready())
	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "Close is idempotent")
	startServer(t, c)
}

func TestWithoutNamesrvAndAdminTheBrokersAddressServesBoth(t *testing.T) {
	c := anywhere(t)
	c.NamesrvListen, c.AdminListen = "", ""
	r := startServer(t, c)
	reply := ask(t, r.Addrs().Broker, remoting.ReqGetRouteInfoByTopic, nil, field("topic", "TBW102"))
	require.Equal(t, remoting.RespSuccess, reply.Code)
	r.out.waitFor(t, "name server  "+r.Addrs().Broker)
}

func TestClientsAreToldTheAdvertisedAddress(t *testing.T) {
	c := anywhere(t)
	c.Listen, c.Advertise = "0.0.0.0:0", "192.0.2.7:30911"
	r := startServer(t, c)
	reply := ask(t, dialable(r.listeners.broker.Addr()), remoting.ReqGetRouteInfoByTopic, nil, field("topic", "TBW102"))
	require.Contains(t, string(reply.Body), `"192.0.2.7:30911"`)
}

func TestAStopDoesNotWaitForHeldPulls(t *testing.T) {
	c := anywhere(t)
	c.DrainTimeout = time.Minute
	r := startServer(t, c)
	client, err := remoting.Dial(t.Context(), r.Addrs().Broker, nil)
	require.NoError(t, err)
	defer client.Close()
	w := &demoWire{client: client, clientID: "c1"}
	require.NoError(t, w.heartbeat(t.Context()))
	require.NoError(t, w.send(t.Context(), time.Now().Add(time.Hour).UnixMilli(), "x", "#1"))
	held := make(chan error, 1)
	go func() {
		_, _, err := w.pull(t.Context(), 0)
		held <- err
	}()
	r.waitForMetric(t, "duelog_held_pulls{", " 1\n")
	require.NoError(t, r.stop())
	require.NoError(t, <-held, "the held pull is answered, not cut off")
}

// waitForMetric returns when a scrape shows a line with this beginning and end.
func (r *running) waitForMetric(t *testing.T, begin, end string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, body := r.fetch(t, "/metrics")
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, begin) && strings.HasSuffix(line, end) {
				return true
			}
		}
		return false
	}, 30*time.Second, 10*time.Millisecond)
}

func TestMessagesOutliveAGracefulRestart(t *testing.T) {
	c := anywhere(t)
	r := startServer(t, c)
	client, err := remoting.Dial(t.Context(), r.Addrs().Broker, nil)
	require.NoError(t, err)
	w := &demoWire{client: client, clientID: "c1"}
	require.NoError(t, w.send(t.Context(), time.Now().Add(time.Hour).UnixMilli(), "x", "#1"))
	require.NoError(t, client.Close())
	require.NoError(t, r.stop())

	again := startServer(t, c)
	again.out.waitFor(t, "(1 pending")
}

func TestTheLongestDelayIsASetting(t *testing.T) {
	c := anywhere(t)
	c.MaxDelay = 10 * day
	r := startServer(t, c)
	client, err := remoting.Dial(t.Context(), r.Addrs().Broker, nil)
	require.NoError(t, err)
	defer client.Close()
	w := &demoWire{client: client, clientID: "c1"}
	require.NoError(t, w.send(t.Context(), time.Now().Add(9*day).UnixMilli(), "x", "#1"))
	err = w.send(t.Context(), time.Now().Add(11*day).UnixMilli(), "x", "#2")
	var refused *refusal
	require.ErrorAs(t, err, &refused)
	require.Equal(t, remoting.RespMessageIllegal, refused.code)
}

func TestTwoServersOnOneRegistryAreRefused(t *testing.T) {
	reg := newRegistry()
	a := anywhere(t)
	s, err := New(a, &Options{Registry: reg})
	require.NoError(t, err)
	_, err = New(anywhere(t), &Options{Registry: reg})
	require.Error(t, err)
	require.NoError(t, s.Close())
	s, err = New(a, &Options{Registry: reg})
	require.NoError(t, err, "a closed server leaves nothing in the registry")
	require.NoError(t, s.Close())
}
