package rocketmq

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/pipeline"
)

func TestTheBrokerIsToldWhatItsModeAndStepAre(t *testing.T) {
	for mode, flush := range map[bench.Mode]string{bench.Durable: "SYNC_FLUSH", bench.Stock: "ASYNC_FLUSH"} {
		s := &System{dir: t.TempDir(), step: 100 * time.Millisecond, mode: mode, ports: ports{nameServer: 1, broker: 2}}
		require.NoError(t, s.writeConfig())
		b, err := os.ReadFile(s.configPath("broker"))
		require.NoError(t, err)
		lines := strings.Split(string(b), "\n")
		require.Subset(t, lines, []string{
			"flushDiskType=" + flush, "timerPrecisionMs=100", "bindAddress=127.0.0.1", "listenPort=2",
			"namesrvAddr=127.0.0.1:1", "timerMaxDelaySec=31622400",
		})
		b, err = os.ReadFile(s.configPath("namesrv"))
		require.NoError(t, err)
		require.Contains(t, string(b), "bindAddress=127.0.0.1\nlistenPort=1\n")
	}
}

// sender is a publisher whose sends fail.
type sender struct{ err error }

func (s sender) Publish(uint64, time.Time, []byte) error { return s.err }
func (sender) Flush() error                              { return nil }
func (sender) Close() error                              { return nil }

func TestAMessageThatIsNotSentIsNotReported(t *testing.T) {
	reported := 0
	p := &publisher{
		wire:     sender{errors.New("no connection")},
		inflight: pipeline.NewInflight(window, func(uint64, error) { reported++ }),
	}
	for id := range uint64(window + 1) { // one more than would fit, had they been sent
		require.Error(t, p.Publish(id, time.Time{}, nil))
	}
	require.NoError(t, p.Close())
	require.Zero(t, reported)
}

func TestCloseReportsWhatIsOnItsWay(t *testing.T) {
	var reported []error
	p := &publisher{
		wire:     sender{},
		inflight: pipeline.NewInflight(window, func(_ uint64, err error) { reported = append(reported, err) }),
	}
	require.NoError(t, p.Publish(1, time.Time{}, nil))
	require.NoError(t, p.Close())
	require.Len(t, reported, 1)
	require.ErrorIs(t, reported[0], pipeline.ErrClosed)
	require.ErrorIs(t, p.Publish(2, time.Time{}, nil), pipeline.ErrClosed)
}
