package pipeline_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/bench/peers/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// letters is a protocol with one byte a message, 'y' or 'n' in reply.
type letters struct{}

func (letters) Append(dst []byte, batch []pipeline.Message) []byte {
	for _, m := range batch {
		dst = append(dst, m.Body...)
	}
	return dst
}

func (letters) Read(r *bufio.Reader, n int, result func(error)) error {
	for range n {
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		if b == 'n' {
			result(errRefused)
		} else {
			result(nil)
		}
	}
	return nil
}

var errRefused = errors.New("refused")

// acks collects what a pipeline reports.
type acks struct {
	mu  sync.Mutex
	got map[uint64]error
	n   int
}

func (a *acks) acked(id uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.got == nil {
		a.got = make(map[uint64]error)
	}
	a.got[id] = err
	a.n++
}

func (a *acks) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

func open(t *testing.T, batch int) (*pipeline.Pipeline, net.Conn, *acks) {
	client, server := net.Pipe()
	a := new(acks)
	p := pipeline.New(client, bufio.NewReader(client), letters{}, batch, a.acked)
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.NoError(t, p.Close())
	})
	return p, server, a
}

func TestABatchIsSentWhenFullAndAnsweredInOrder(t *testing.T) {
	p, server, a := open(t, 3)
	go func() {
		request := make([]byte, 3)
		if _, err := io.ReadFull(server, request); err == nil && string(request) == "abc" {
			_, _ = server.Write([]byte("yny"))
		}
	}()
	for id, body := range []string{"a", "b", "c"} {
		require.NoError(t, p.Publish(uint64(id), time.Time{}, []byte(body)))
	}
	require.Eventually(t, func() bool { return a.count() == 3 }, 5*time.Second, time.Millisecond)
	require.Equal(t, map[uint64]error{0: nil, 1: errRefused, 2: nil}, a.got)
}

func TestCloseReportsWhatWasSentAndWhatWasNot(t *testing.T) {
	p, server, a := open(t, 2)
	go func() { _, _ = io.Copy(io.Discard, server) }()
	for id := range uint64(3) {
		require.NoError(t, p.Publish(id, time.Time{}, []byte("x")))
	}
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	require.Equal(t, 3, a.count())
	for _, err := range a.got {
		require.ErrorIs(t, err, pipeline.ErrClosed)
	}
	require.ErrorIs(t, p.Publish(9, time.Time{}, nil), pipeline.ErrClosed)
	require.Equal(t, 3, a.count())
}

func TestAServerThatGoesAwayInTheMiddleOfAReplyFailsTheRestOnce(t *testing.T) {
	p, server, a := open(t, 2)
	go func() {
		_, _ = io.ReadFull(server, make([]byte, 2))
		_, _ = server.Write([]byte("y"))
		_ = server.Close()
	}()
	require.NoError(t, p.Publish(1, time.Time{}, []byte("x")))
	require.NoError(t, p.Publish(2, time.Time{}, []byte("x")))
	require.Eventually(t, func() bool { return a.count() == 2 }, 5*time.Second, time.Millisecond)
	require.NoError(t, a.got[1])
	require.ErrorIs(t, a.got[2], io.EOF)
}

func TestPublishBlocksAtTheWindowUntilAReplyComes(t *testing.T) {
	p, server, a := open(t, pipeline.Window)
	release := make(chan struct{})
	go func() {
		_, _ = io.ReadFull(server, make([]byte, pipeline.Window))
		<-release
		answer := make([]byte, pipeline.Window)
		_, _ = server.Write(answer)
		_, _ = io.Copy(io.Discard, server)
	}()
	for id := range uint64(pipeline.Window) {
		require.NoError(t, p.Publish(id, time.Time{}, []byte("x")))
	}
	done := make(chan error)
	go func() {
		_ = p.Publish(pipeline.Window, time.Time{}, []byte("x"))
		done <- p.Flush()
	}()
	select {
	case <-done:
		t.Fatal("the window did not hold")
	default:
	}
	close(release)
	require.NoError(t, <-done)
	require.Equal(t, pipeline.Window, a.count())
}
