package broker

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

func TestStoreErrorsBecomeTheCodesThatClientsKnow(t *testing.T) {
	for err, want := range map[error]int32{
		store.ErrTooFar:                              remoting.RespMessageIllegal,
		store.ErrTooLarge:                            remoting.RespMessageIllegal,
		store.ErrQueueDeleted:                        remoting.RespTopicNotExist,
		store.ErrDiskFull:                            remoting.RespServiceNotAvailable,
		&store.BusyError{Reason: store.BusyLane}:     remoting.RespSystemBusy,
		store.ErrReadOnly:                            remoting.RespServiceNotAvailable,
		store.ErrClosed:                              remoting.RespServiceNotAvailable,
		errors.New("something else"):                 remoting.RespSystemError,
		fmt.Errorf("wrapped: %w", store.ErrDiskFull): remoting.RespServiceNotAvailable,
	} {
		require.Equal(t, want, storeRefusal(err).code, err)
	}
}

// lockedBuffer may be logged to from the broker's goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestARefusalIsCountedAndLoggedWithItsClient(t *testing.T) {
	var log lockedBuffer
	r := newRig(t, &Options{AutoCreateTopic: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := r.dial()
	const many = 3 * refusalLinesPerSecond
	for range many {
		c.ask(remoting.ReqSendMessageV2, "x", sendExtOf("T", props("DELAY", "abc"))...)
	}
	require.EqualValues(t, many, testutil.ToFloat64(r.broker.metrics.refused.WithLabelValues("13", "bad_delay")))
	lines := log.String()
	require.Contains(t, lines, "client=127.0.0.1:")
	require.Contains(t, lines, "topic=T")
	require.Contains(t, lines, "code=13")
	require.Contains(t, lines, "is not a number")
}

func TestALoopOfRefusalsIsLoggedTenTimesASecond(t *testing.T) {
	var l refusalLines
	logged := 0
	for range 1000 {
		if ok, _ := l.allow(7); ok {
			logged++
		}
	}
	require.Equal(t, refusalLinesPerSecond, logged)
	ok, skipped := l.allow(8)
	require.True(t, ok)
	require.Equal(t, 1000-refusalLinesPerSecond, skipped)
	_, skipped = l.allow(8)
	require.Zero(t, skipped)
}

func TestALongTopicIsCutInTheLog(t *testing.T) {
	var log lockedBuffer
	r := newRig(t, &Options{AutoCreateTopic: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r.dial().ask(remoting.ReqSendMessageV2, "x", sendExtOf(strings.Repeat("t", 30_000), "")...)
	require.Less(t, len(log.String()), 2000)
}
