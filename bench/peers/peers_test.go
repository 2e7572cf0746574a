package peers_test

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// realServersEnv lets the tests start the real servers, which takes a minute
// and more, mostly for the JVMs.
const realServersEnv = "DUELOG_BENCH_PEERS"

// messages are published at a time.
const messages = 200

// ledger compares what is published with what arrives.
type ledger struct {
	t       *testing.T
	mu      sync.Mutex
	due     map[uint64]time.Time
	came    map[uint64]int
	early   []time.Duration
	changed chan struct{} // holds a token after a delivery
}

func newLedger(t *testing.T) *ledger {
	return &ledger{t: t, due: make(map[uint64]time.Time), came: make(map[uint64]int), changed: make(chan struct{}, 1)}
}

func body(id uint64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 1024), id)[:1024]
}

// publish sends ordinary messages and messages that are due from now+after on,
// over a second, and waits for their acknowledgements.
func (l *ledger) publish(s bench.System, after time.Duration, batch int) {
	l.t.Helper()
	acks := make(chan error, messages)
	p, err := s.Publisher(l.t.Context(), 0, bench.PublisherOptions{
		Batch: batch,
		Acked: func(_ uint64, err error) { acks <- err },
	})
	require.NoError(l.t, err)
	start := time.Now().Add(after).Truncate(time.Millisecond)
	for i := range messages {
		var due time.Time
		if i%10 != 0 {
			due = start.Add(time.Duration(i) * time.Second / messages)
		}
		id := l.note(due)
		require.NoError(l.t, p.Publish(id, due, body(id)))
	}
	require.NoError(l.t, p.Flush())
	for range messages {
		select {
		case err := <-acks:
			require.NoError(l.t, err)
		case <-time.After(time.Minute):
			l.t.Fatal("a message was not acknowledged")
		}
	}
	require.NoError(l.t, p.Close())
}

// note gives out the next id.
func (l *ledger) note(due time.Time) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := uint64(len(l.due))
	l.due[id] = due
	return id
}

func (l *ledger) deliver(b []byte, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := binary.BigEndian.Uint64(b)
	l.came[id]++
	if d := l.due[id].Sub(at); d > 0 {
		l.early = append(l.early, d)
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// wait waits until everything has come and checks that nothing came early.
func (l *ledger) wait() {
	l.t.Helper()
	limit := time.After(time.Minute)
	for !l.complete() {
		select {
		case <-l.changed:
		case <-limit:
			l.t.Fatalf("%d of %d messages are missing", len(l.due)-len(l.came), len(l.due))
		}
	}
	require.Empty(l.t, l.early)
}

func (l *ledger) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.came) == len(l.due)
}

// again counts the messages that came more than once.
func (l *ledger) again() int {
	n := 0
	for _, times := range l.came {
		if times > 1 {
			n++
		}
	}
	return n
}

// start returns a started system, or skips when the machine does not have it.
func start(t *testing.T, name string, m bench.Mode) bench.System {
	if os.Getenv(realServersEnv) == "" {
		t.Skip("starts servers of other makers: set " + realServersEnv + "=1, or make test-peers")
	}
	s, err := peers.Systems()[name](m)
	if err != nil {
		t.Skip(err)
	}
	require.Equal(t, name, s.Name())
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
	})
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	require.NoError(t, s.Start(ctx, t.TempDir()))
	require.NotEmpty(t, s.PIDs())
	t.Logf("%+v", s.Info())
	return s
}

const startLimit = 2 * time.Minute

// except returns the peers without one: the two RocketMQs differ by a number, and
// a Java virtual machine takes long to start.
func except(name string) []string {
	return slices.DeleteFunc(peers.Names(), func(s string) bool { return s == name })
}

// firesAgain are the systems that after a crash repeat what they did since their
// last checkpoint, which is a second old or more.
var firesAgain = map[string]bool{"rocketmq-100ms": true}

func TestMessagesComeOnceAtTheirTimeAndSurviveAKill(t *testing.T) {
	for _, name := range except("rocketmq") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := start(t, name, bench.Durable), newLedger(t)
			stop, err := s.Subscribe(t.Context(), l.deliver)
			require.NoError(t, err)
			l.publish(s, time.Second, 0)
			l.wait()
			require.Zero(t, l.again())
			stop()
			stop()

			l.publish(s, 3*time.Second, 1)
			pending(t, s)
			require.NoError(t, s.Kill9())
			ctx, cancel := context.WithTimeout(t.Context(), startLimit)
			defer cancel()
			require.NoError(t, s.Restart(ctx))
			stop, err = s.Subscribe(t.Context(), l.deliver)
			require.NoError(t, err)
			l.wait()
			stop()
			if n := l.again(); firesAgain[name] {
				t.Logf("%d messages came again after the crash", n)
			} else {
				require.Zero(t, n)
			}
		})
	}
}

// pending waits until the system counts a scheduled message.
func pending(t *testing.T, s bench.System) {
	counter, ok := s.(bench.Statser)
	if !ok {
		return
	}
	require.Eventually(t, func() bool {
		st, err := counter.Stats(t.Context())
		return err == nil && st.Pending > 0
	}, 2*time.Second, time.Millisecond)
}

func TestStockSettingsServeToo(t *testing.T) {
	for _, name := range except("rocketmq-100ms") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, l := start(t, name, bench.Stock), newLedger(t)
			stop, err := s.Subscribe(t.Context(), l.deliver)
			require.NoError(t, err)
			l.publish(s, time.Second, 0)
			l.wait()
			require.Zero(t, l.again())
			stop()
		})
	}
}

func TestInstallLeavesAloneWhatIsNoPeer(t *testing.T) {
	require.Empty(t, peers.Install(t.Context(), io.Discard, "duelog"))
}
