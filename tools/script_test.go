package tools

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// noRaceSleep keeps a process under the race detector from sleeping for a second at its
// end, by default, for races that other goroutines may still run into.
const noRaceSleep = "atexit_sleep_ms=0"

// TestScripts runs testdata/*.txtar. Besides duelogctl they know
//
//	mkstore DIR N    a store with N messages, one due every hour, and one that was due at once
//	mkfixture DIR [keys]
//	                 the store of fixture_test.go, the same byte for byte each time but for
//	                 when its runs were made; with a key index if asked for
//	mkrecalled DIR   the store of mkfixture with a cancel log; see recalled_test.go
//	mkcold DIR       a store with messages in one cold file, the same each time
//	mkrocketmq DIR   a store of Apache RocketMQ in which two messages wait, one of them by a
//	                 delay level
//	grow DIR N       puts N messages into a store of mkfixture, due a moment later
//	stable FILE [REGEXP TEXT]...
//	                 writes the output before to a file, with a text of the same length
//	                 for each time and id in it, and TEXT for what else changes
//	await FILE REGEXP
//	                 waits until a file has it
//	overwrite FILE OFFSET TEXT
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/scripts",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", noRaceSleep)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mkstore":   mkstore,
			"overwrite": overwrite,
			"await":     await,
			"stable":    stable,
			"mkrocketmq": func(ts *testscript.TestScript, _ bool, args []string) {
				f := rocketmqFixtureAt(scriptFailer{ts}, ts.MkAbs(args[0]))
				f.timer("orders", "A", "timed", time.Now().Add(time.Hour).UnixMilli(), "KEYS", "k")
				f.put(rocketmqLevelTopic, 17, "level", time.Now().UnixMilli(), "UNIQ_KEY", "C", "DELAY", "18", "REAL_TOPIC", "mails", "REAL_QID", "0")
				f.write(nil)
			},
			"grow": grow,
			"mkrecalled": func(ts *testscript.TestScript, _ bool, args []string) {
				makeRecalled(scriptFailer{ts}, ts.MkAbs(args[0]))
			},
			"mkcold": func(ts *testscript.TestScript, _ bool, args []string) {
				makeCold(scriptFailer{ts}, ts.MkAbs(args[0]), time.UnixMilli(fixtureStart), 2*time.Hour, 500)
			},
			"mkfixture": func(ts *testscript.TestScript, _ bool, args []string) {
				more := func(*fixture) {}
				if len(args) > 1 {
					more = (*fixture).writeKeys
				}
				fixtureWith(scriptFailer{ts}, ts.MkAbs(args[0]), more)
			},
		},
	})
}

// scriptFailer lets require fail a script.
type scriptFailer struct{ ts *testscript.TestScript }

func (f scriptFailer) Errorf(format string, args ...any) { f.ts.Fatalf(format, args...) }
func (f scriptFailer) FailNow()                          { f.ts.Fatalf("failed") }

func mkstore(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: mkstore DIR N")
	}
	n := 0
	_, err := fmt.Sscan(args[1], &n)
	ts.Check(err)
	s, err := store.Open(ts.MkAbs(args[0]), &store.Options{SegmentSize: 1 << 20, DelaySegmentSize: 1 << 20, JournalSegmentSize: 1 << 20, FireBatch: 1024})
	ts.Check(err)
	q, err := s.Queue("orders", 0)
	ts.Check(err)
	for i := range n + 1 {
		fire := int64(0)
		if i > 0 {
			fire = time.Now().Add(time.Duration(i) * time.Hour).UnixMilli()
		}
		_, err := s.Put(context.Background(), &store.Message{Queue: q, FireMs: fire, Payload: fmt.Appendf(nil, "message %d", i)})
		ts.Check(err)
	}
	ts.Check(s.Close())
}

// grow writes to a store as a broker does; its lanes and journal go on to other segments.
func grow(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	o := fixtureOptions()
	clock := o.Clock
	o.Flush = commitlog.Async
	s, err := store.Open(ts.MkAbs(args[0]), o)
	ts.Check(err)
	q, err := s.Queue("orders", 0)
	ts.Check(err)
	for i := range n {
		fire := clock.NowMs() + 1
		_, err := s.Put(context.Background(), &store.Message{Queue: q, FireMs: fire, Payload: fmt.Appendf(nil, "message %d", i)})
		ts.Check(err)
		if i%100 == 99 {
			clock.Advance(time.UnixMilli(fire))
			ts.Check(s.Settle(context.Background()))
		}
	}
	ts.Check(s.Close())
}

var (
	anyTime = regexp.MustCompile(`20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z`)
	anyID   = regexp.MustCompile(`\b[0-9A-F]{32}\b`)
)

// stable makes an output the same each time.
func stable(ts *testscript.TestScript, _ bool, args []string) {
	if len(args)%2 != 1 {
		ts.Fatalf("usage: stable FILE [REGEXP TEXT]...")
	}
	out := anyTime.ReplaceAllString(ts.ReadFile("stdout"), "YYYY-MM-DDTHH:MM:SS.mmmZ")
	out = anyID.ReplaceAllString(out, strings.Repeat("X", 32))
	for i := 1; i < len(args); i += 2 {
		re, err := regexp.Compile("(?m)" + args[i])
		ts.Check(err)
		out = re.ReplaceAllString(out, args[i+1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(out), 0o600))
}

// await polls a file.
func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await FILE REGEXP")
	}
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(ts.MkAbs(args[0]))
		if err == nil && re.Match(b) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s never had %s: %s", args[0], args[1], b)
		}
	}
}

func overwrite(ts *testscript.TestScript, _ bool, args []string) {
	off, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY, 0)
	ts.Check(err)
	_, err = f.WriteAt([]byte(args[2]), off)
	ts.Check(err)
	ts.Check(f.Close())
}

// run executes duelogctl in this process.
func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	return runWith(t.Context(), args...)
}

func runWith(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e strings.Builder
	code = Execute(ctx, args, Process{Out: &o, Err: &e, Now: func() time.Time { return testNow }})
	return code, o.String(), e.String()
}

// runNow is run by the real clock.
func runNow(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	code = Execute(t.Context(), args, Process{Out: &o, Err: &e})
	return code, o.String(), e.String()
}

var testNow = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC)

func TestUsageErrorsAreOfCodeTwoAndSayTheNextStep(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"},
		{"inspect", "nonsense"},
		{"inspect"},
		{"topic"},
		{"group"},
		{"completion"},
		{"help", "nonsense"},
		{"help", "inspect", "nonsense"},
		{"help", "verify", "x"},
		{"inspect", "manifest"},
		{"inspect", "manifest", "a", "b"},
		{"inspect", "manifest", "x", "--nonsense"},
		{"inspect", "manifest", "x", "-o", "xml"},
		{"inspect", "manifest", "."},
	} {
		code, out, errs := run(t, args...)
		require.Equal(t, ExitUsage, code, "%v", args)
		require.Empty(t, out)
		require.Contains(t, errs, "duelogctl: ")
		require.Contains(t, errs, "\nnext: ")
	}
}
