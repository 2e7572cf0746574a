package remoting

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipes is a listener whose connections live in memory, so that tests can run in
// fake time. An error in the channel is what Accept returns once.
type pipes struct {
	conns  chan any
	closed chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan any), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		if err, bad := c.(error); bad {
			return nil, err
		}
		return c.(net.Conn), nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) dial() net.Conn {
	near, far := net.Pipe()
	p.conns <- far
	return near
}

// inFakeTime runs f with a server, in a bubble where time passes at once.
func inFakeTime(t *testing.T, h Handler, o *ServerOptions, f func(t *testing.T, s *Server, p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		s := NewServer(h, o)
		served := make(chan error, 1)
		go func() { served <- s.Serve(p) }()
		defer func() {
			require.NoError(t, s.Close())
			require.ErrorIs(t, <-served, ErrServerClosed)
		}()
		f(t, s, p)
	})
}

func TestAnIdleConnectionIsClosed(t *testing.T) {
	inFakeTime(t, echo, nil, func(t *testing.T, s *Server, p *pipes) {
		c := NewClient(p.dial(), nil)
		defer c.Close()
		_, err := c.Invoke(context.Background(), NewRequest(1))
		require.NoError(t, err)
		opened := time.Now()
		<-c.Conn().Done()
		require.GreaterOrEqual(t, time.Since(opened), 116*time.Second)
		require.LessOrEqual(t, time.Since(opened), 128*time.Second)
		synctest.Wait()
		require.Equal(t, uint64(1), s.Stats().Closed[CloseIdle])
	})
}

func TestAConnectionWithHeartbeatsIsKept(t *testing.T) {
	inFakeTime(t, echo, nil, func(t *testing.T, s *Server, p *pipes) {
		c := NewClient(p.dial(), nil)
		defer c.Close()
		for range 100 {
			_, err := c.Invoke(context.Background(), NewRequest(ReqHeartBeat))
			require.NoError(t, err)
			<-time.After(30 * time.Second)
		}
		require.Equal(t, int64(1), s.Stats().Open)
	})
}

func TestAConnectionThatIsOnlyWrittenToIsKept(t *testing.T) {
	g := make(greeter, 1)
	inFakeTime(t, g, nil, func(t *testing.T, s *Server, p *pipes) {
		c := NewClient(p.dial(), &ClientOptions{OnRequest: func(*Conn, *Command) {}})
		defer c.Close()
		_, err := c.Invoke(context.Background(), NewRequest(1))
		require.NoError(t, err)
		conn := <-g
		for range 100 {
			require.NoError(t, conn.Oneway(NewRequest(ReqNotifyConsumerIDsChanged)))
			<-time.After(30 * time.Second)
		}
		require.Equal(t, int64(1), s.Stats().Open)
	})
}

func TestAConnectionThatNeverSendsAFrameIsClosed(t *testing.T) {
	inFakeTime(t, echo, nil, func(t *testing.T, s *Server, p *pipes) {
		nc := p.dial()
		opened := time.Now()
		trickled := make(chan struct{})
		go func() { // a byte a second of a frame that never ends
			defer close(trickled)
			for b := []byte{0, 0, 16, 0}; ; b = b[:1] {
				if _, err := nc.Write(b); err != nil {
					return
				}
				<-time.After(time.Second)
			}
		}()
		_, err := io.Copy(io.Discard, nc)
		require.NoError(t, err)
		require.LessOrEqual(t, time.Since(opened), 40*time.Second)
		<-trickled
		require.Equal(t, uint64(1), s.Stats().Closed[CloseSilent])
	})
}

func TestAPeerThatDoesNotReadItsAnswersIsNotReadFrom(t *testing.T) {
	const requests, answer, limit = 200, 64 << 10, 1 << 20
	var handled atomic.Int64
	h := handlerFunc(func(c *Conn, cmd *Command) {
		handled.Add(1)
		_ = c.Reply(cmd.Token(), RespSuccess, "", nil, make([]byte, answer))
	})
	inFakeTime(t, h, &ServerOptions{MaxOutBytes: limit}, func(t *testing.T, s *Server, p *pipes) {
		nc := p.dial()
		go func() {
			var b []byte
			for range requests {
				b = AppendFrame(b, NewRequest(1))
			}
			_, _ = nc.Write(b)
		}()
		synctest.Wait()
		require.Less(t, handled.Load(), int64(limit/answer))
		for range requests {
			require.Greater(t, len(readFrame(t, nc)), answer)
		}
		require.Equal(t, int64(requests), handled.Load())
		require.Zero(t, s.Stats().Closed[CloseSlowReader])
		nc.Close()
	})
}

func TestALargeAnswerToACongestedPeerMayBeReplacedByASmallOne(t *testing.T) {
	const limit, answer = 1 << 20, 600 << 10
	large := func(dst []byte) []byte { return append(dst, make([]byte, answer)...) }
	h := handlerFunc(func(c *Conn, cmd *Command) {
		require.False(t, c.Congested())
		require.NoError(t, c.ReplyFunc(cmd.Token(), RespSuccess, "", nil, answer, large))
		require.True(t, c.Congested())
		require.ErrorIs(t, c.ReplyFunc(cmd.Token(), RespSuccess, "", nil, answer, large), ErrSlowReader)
		require.NoError(t, c.Reply(cmd.Token(), RespSystemError, "later", nil, nil), "the connection is open")
	})
	inFakeTime(t, h, &ServerOptions{MaxOutBytes: limit}, func(t *testing.T, s *Server, p *pipes) {
		nc := p.dial()
		_, err := nc.Write(AppendFrame(nil, NewRequest(1)))
		require.NoError(t, err)
		synctest.Wait() // nothing is read before the handler has returned
		require.Greater(t, len(readFrame(t, nc)), answer)
		var resp Command
		require.NoError(t, Decode(readFrame(t, nc), &resp))
		require.Equal(t, "later", resp.Remark)
		require.Zero(t, s.Stats().Closed[CloseSlowReader])
		nc.Close()
	})
}

func TestAFrameLongerThanTheLimitIsSentToAPeerThatReads(t *testing.T) {
	h := handlerFunc(func(c *Conn, cmd *Command) {
		_ = c.Reply(cmd.Token(), RespSuccess, "small", nil, nil)
		_ = c.Reply(cmd.Token(), RespSuccess, "", nil, make([]byte, 3<<20))
	})
	inFakeTime(t, h, &ServerOptions{MaxOutBytes: 1 << 20}, func(t *testing.T, _ *Server, p *pipes) {
		nc := p.dial()
		_, err := nc.Write(AppendFrame(nil, NewRequest(1)))
		require.NoError(t, err)
		readFrame(t, nc)
		require.Greater(t, len(readFrame(t, nc)), 3<<20)
		nc.Close()
	})
}

func TestAClosedConnectionLeavesNoTimer(t *testing.T) {
	stopped := make(chan bool, 2) // one for each request
	h := handlerFunc(func(c *Conn, cmd *Command) {
		_ = c.Reply(cmd.Token(), RespSuccess, "", nil, nil)
		c.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		stopped <- !c.corkTimer.Stop()
	})
	inFakeTime(t, h, nil, func(t *testing.T, _ *Server, p *pipes) {
		nc := p.dial()
		first := AppendFrame(nil, NewRequest(1))
		_, err := nc.Write(AppendFrame(first, NewRequest(1)))
		require.NoError(t, err)
		require.True(t, <-stopped)
		nc.Close()
	})
}

func TestShutdownWaitsForHandlersAfterItsDeadlineButNotForEver(t *testing.T) {
	for name, tc := range map[string]struct {
		takes, want time.Duration
		returned    bool
	}{
		"a slow one":  {1500 * time.Millisecond, 1500 * time.Millisecond, true},
		"a stuck one": {time.Minute, 2 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			var returned atomic.Bool
			h := handlerFunc(func(*Conn, *Command) {
				<-time.After(tc.takes)
				returned.Store(true)
			})
			inFakeTime(t, h, nil, func(t *testing.T, s *Server, p *pipes) {
				nc := p.dial()
				defer nc.Close()
				_, err := nc.Write(AppendFrame(nil, NewRequest(1)))
				require.NoError(t, err)
				synctest.Wait()
				begin := time.Now()
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
				require.Equal(t, tc.want, time.Since(begin))
				require.Equal(t, tc.returned, returned.Load())
			})
		})
	}
}

func TestAPeerThatNeverReadsIsClosedAsIdle(t *testing.T) {
	h := handlerFunc(func(c *Conn, cmd *Command) {
		_ = c.Reply(cmd.Token(), RespSuccess, "", nil, make([]byte, 1<<20))
	})
	inFakeTime(t, h, nil, func(t *testing.T, s *Server, p *pipes) {
		nc := p.dial()
		_, err := nc.Write(AppendFrame(nil, NewRequest(1)))
		require.NoError(t, err)
		<-time.After(150 * time.Second)
		require.Equal(t, uint64(1), s.Stats().Closed[CloseIdle])
		nc.Close()
	})
}

func TestServeGoesOnAfterAcceptHasFailed(t *testing.T) {
	inFakeTime(t, echo, nil, func(t *testing.T, s *Server, p *pipes) {
		for range 3 {
			p.conns <- errors.New("too many open files")
		}
		c := NewClient(p.dial(), nil)
		_, err := c.Invoke(context.Background(), NewRequest(1))
		require.NoError(t, err)
		require.NoError(t, c.Close())
		p.conns <- errors.New("too many open files") // ends while Serve pauses
	})
}
