package tools

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server"
	"github.com/duelog/duelog/server/message"
)

// startBroker runs a broker over the store in dir on free ports until stop.
func startBroker(dir string) (addrs server.Addrs, stop func() error, err error) {
	cfg := server.DefaultConfig()
	cfg.Data, cfg.Listen, cfg.NamesrvListen, cfg.AdminListen = dir, "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	cfg.SegmentSize, cfg.MaxMessageSize = 1<<20, 256<<10
	s, err := server.New(&cfg, nil)
	if err != nil {
		return addrs, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	return s.Addrs(), sync.OnceValue(func() error { cancel(); return <-served }), nil
}

// brokers are the brokers of a script, by directory.
type brokers map[string]func() error

// key is where a script keeps its brokers.
func (brokers) key() any { return "brokers" }

// broker DIR starts a broker over the store in DIR and points DUELOG_NAMESRV and
// DUELOG_ADMIN to it; broker stop DIR ends it.
func (b brokers) command(ts *testscript.TestScript, args []string) {
	switch {
	case len(args) == 2 && args[0] == "stop" && b[args[1]] != nil:
		ts.Check(b[args[1]]())
		delete(b, args[1])
	case len(args) == 1:
		addrs, stop, err := startBroker(ts.MkAbs(args[0]))
		ts.Check(err)
		b[args[0]] = stop
		ts.Setenv("DUELOG_NAMESRV", addrs.Namesrv)
		ts.Setenv("DUELOG_ADMIN", addrs.Admin)
		ts.Defer(func() {
			if stop := b[args[0]]; stop != nil {
				ts.Check(stop())
			}
		})
	default:
		ts.Fatalf("usage: broker [stop] DIR")
	}
}

// handle TOPIC BROKER ID TIME sets HANDLE to the recall handle of a message that is due then.
func handle(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: handle TOPIC BROKER ID TIME")
	}
	due, err := time.Parse(time.RFC3339, args[3])
	ts.Check(err)
	h := message.RecallHandle{Topic: args[0], Broker: args[1], ID: args[2], DueMs: due.UnixMilli()}
	ts.Setenv("HANDLE", string(message.AppendRecallHandle(nil, &h)))
}

// TestOnlineScripts runs testdata/online/*.txtar, in which `broker DIR` starts a
// broker, and DAY is a date a hundred days ahead.
func TestOnlineScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/online",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", noRaceSleep)
			env.Setenv("DAY", time.Now().UTC().AddDate(0, 0, 100).Format(time.DateOnly))
			env.Values[brokers{}.key()] = brokers{}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":  await,
			"stable": stable,
			"handle": handle,
			"broker": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Value(brokers{}.key()).(brokers).command(ts, args)
			},
		},
	})
}

func TestWithoutABrokerTheNextStepIsToStartOne(t *testing.T) {
	for _, args := range [][]string{
		{"topics"},
		{"schedule", "t", "b", "--in", "1s"},
		{"cancel", "ID", "--topic", "t"},
		{"reschedule", "ID", "--topic", "t", "--in", "1s"},
		{"tail", "t"},
		{"pending"},
		{"stats"},
	} {
		code, out, errs := run(t, append(args, "--namesrv", "127.0.0.1:1")...)
		require.Equal(t, ExitIO, code, args)
		require.Empty(t, out, args)
		require.Contains(t, errs, "dial 127.0.0.1:1", args)
		require.Contains(t, errs, "next: start duelogd, or name the name server", args)
	}
	code, _, errs := run(t, "top", "--admin", "127.0.0.1:1")
	require.Equal(t, ExitIO, code)
	require.Contains(t, errs, "next: name the admin address")
}

func TestMistakesInOnlineVerbsAreFoundBeforeAnybodyIsAsked(t *testing.T) {
	for _, args := range [][]string{
		{"schedule"},
		{"schedule", "t", "b"},
		{"schedule", "t", "b", "c"},
		{"schedule", "t", "b", "--in", "1s", "--at", "now"},
		{"schedule", "t", "--in", "1s"},
		{"schedule", "t", "b", "--in", "-1s"},
		{"schedule", "t", "b", "--in", "soon"},
		{"schedule", "t", "b", "--at", "yesterday"},
		{"schedule", "t", "b", "--at", "2020-01-01"},
		{"schedule", "t", "b", "--in", "1s", "--property", "x"},
		{"schedule", "t", "b", "--in", "1s", "--file", "x"},
		{"cancel"},
		{"cancel", "ID"},
		{"cancel", "ID", "--topic", "t", "--timeout", "0"},
		{"recall", "--topic", "other", "djEgVDIgYnJva2VyLWEgMTc5NTQwNjUxNTAwMSBSMQ=="},
		{"cancel", "an id", "--topic", "t"},
		{"reschedule", "", "--topic", "t", "--in", "1h"},
		{"reschedule", "ID", "--topic", "t"},
		{"reschedule", "ID", "--in", "1h"},
		{"reschedule", "ID", "--topic", "t", "--in", "-1h"},
		{"reschedule", "ID", "--topic", "t", "--in", "1h", "--at", "09:00"},
		{"tail", "t", "--from", "never"},
		{"tail", "t", "--body", "xml"},
		{"tail", "t", "--timeout", "0"},
		{"consume", "t"},
		{"pending", "--by", "week"},
		{"pending", "--to", "-1h"},
		{"pending", "--by", "second", "--to", "30d"},
		{"pending", "--list", "--limit", "-1"},
		{"top", "--every", "0"},
		{"topic", "nonsense"},
		{"topic", "create", "t", "--perm", "x"},
		{"lag", "a", "b"},
	} {
		code, out, errs := run(t, append(args, "--namesrv", "127.0.0.1:1")...)
		require.Equal(t, ExitUsage, code, "%v: %s", args, errs)
		require.Empty(t, out, args)
		require.Contains(t, errs, "\nnext: ", args)
	}
}
