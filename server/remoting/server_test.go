package remoting

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// start serves h on loopback until the test ends and returns the address.
func start(t testing.TB, h Handler, o *ServerOptions) (*Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := NewServer(h, o)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, ErrServerClosed)
	})
	return s, l.Addr().String()
}

func dial(t testing.TB, addr string, o *ClientOptions) *Client {
	t.Helper()
	c, err := Dial(context.Background(), addr, o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func rawDial(t testing.TB, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

// echo answers with the fields and the body of the request.
var echo = handlerFunc(func(c *Conn, cmd *Command) {
	_ = c.Reply(cmd.Token(), RespSuccess, "", cmd.Ext, cmd.Body)
})

// readFrame reads one frame, without its length, off a raw connection.
func readFrame(t testing.TB, r io.Reader) []byte {
	t.Helper()
	var n [4]byte
	_, err := io.ReadFull(r, n[:])
	require.NoError(t, err)
	frame := make([]byte, binary.BigEndian.Uint32(n[:]))
	_, err = io.ReadFull(r, frame)
	require.NoError(t, err)
	return frame
}

// requireClosed waits until the peer has closed a raw connection.
func requireClosed(t testing.TB, nc net.Conn) {
	t.Helper()
	_, err := io.Copy(io.Discard, nc)
	require.NotErrorIs(t, err, net.ErrClosed)
}

func TestRepliesHaveTheFormAndOpaqueOfTheirRequest(t *testing.T) {
	_, addr := start(t, echo, nil)
	for _, s := range []Serialize{JSON, Binary} {
		nc := rawDial(t, addr)
		cmd := sendCommand(s, []byte("hello"))
		cmd.Opaque = 4711
		_, err := nc.Write(AppendFrame(nil, cmd))
		require.NoError(t, err)
		var resp Command
		require.NoError(t, Decode(readFrame(t, nc), &resp))
		require.Equal(t, s, resp.Serialize)
		require.Equal(t, int32(4711), resp.Opaque)
		require.True(t, resp.IsResponse())
		require.Equal(t, Version, resp.Version)
		require.Equal(t, LangGo, resp.Language)
		require.Equal(t, cmd.Ext, resp.Ext)
		require.Equal(t, "hello", string(resp.Body))
	}
}

func TestPipelinedRequestsAreAnsweredOnceEach(t *testing.T) {
	_, addr := start(t, echo, nil)
	const n = 5000
	c := dial(t, addr, nil)
	var wg sync.WaitGroup
	wg.Add(n)
	answers := make([]int, n)
	for i := range n {
		c.Go(&Command{Code: 1, Body: binary.BigEndian.AppendUint32(nil, uint32(i))}, func(resp *Command, err error) {
			defer wg.Done()
			if err == nil {
				answers[binary.BigEndian.Uint32(resp.Body)]++
			}
		})
	}
	wg.Wait()
	for i := range answers {
		require.Equal(t, 1, answers[i])
	}
}

func TestAnswersMayComeLateAndInAnyOrder(t *testing.T) {
	var mu sync.Mutex
	var held []Token
	var conn *Conn
	h := handlerFunc(func(c *Conn, cmd *Command) {
		mu.Lock()
		defer mu.Unlock()
		conn, held = c, append(held, cmd.Token())
		if len(held) == 3 {
			go func() {
				for i := len(held) - 1; i >= 0; i-- {
					_ = conn.Reply(held[i], 100+held[i].Code, "late", nil, nil)
				}
			}()
		}
	})
	_, addr := start(t, h, nil)
	c := dial(t, addr, nil)
	order := make(chan int32, 3)
	for code := range int32(3) {
		c.Go(NewRequest(code), func(resp *Command, err error) { order <- resp.Code })
	}
	require.Equal(t, []int32{102, 101, 100}, []int32{<-order, <-order, <-order})
}

func TestFlushSendsAnswersWhileTheHandlerIsBusy(t *testing.T) {
	answered := make(chan struct{})
	h := handlerFunc(func(c *Conn, cmd *Command) {
		if cmd.Code == 1 {
			_ = c.Reply(cmd.Token(), RespSuccess, "", nil, nil)
			return
		}
		c.Flush()
		<-answered
		_ = c.Reply(cmd.Token(), RespSuccess, "", nil, nil)
	})
	_, addr := start(t, h, nil)
	nc := rawDial(t, addr)
	b := AppendFrame(nil, &Command{Code: 1, Opaque: 1})
	_, err := nc.Write(AppendFrame(b, &Command{Code: 2, Opaque: 2})) // one read takes both
	require.NoError(t, err)
	readFrame(t, nc)
	close(answered)
	readFrame(t, nc)
}

func TestReadyAnswersDoNotWaitForAHandlerThatBlocks(t *testing.T) {
	answered := make(chan struct{})
	h := handlerFunc(func(c *Conn, cmd *Command) {
		if cmd.Code == 2 {
			<-answered
		}
		_ = c.Reply(cmd.Token(), RespSuccess, "", nil, nil)
	})
	_, addr := start(t, h, nil)
	defer sync.OnceFunc(func() { close(answered) })()
	nc := rawDial(t, addr)
	require.NoError(t, nc.SetReadDeadline(time.Now().Add(20*time.Second)))
	b := AppendFrame(nil, &Command{Code: 1, Opaque: 1})
	_, err := nc.Write(AppendFrame(b, &Command{Code: 2, Opaque: 2})) // one read takes both
	require.NoError(t, err)
	readFrame(t, nc)
}

func TestOnewayRequestsAreNotAnswered(t *testing.T) {
	_, addr := start(t, echo, nil)
	nc := rawDial(t, addr)
	b := AppendFrame(nil, &Command{Opaque: 1, Flag: FlagOneway})
	b = AppendFrame(b, &Command{Opaque: 2})
	_, err := nc.Write(b)
	require.NoError(t, err)
	var resp Command
	require.NoError(t, Decode(readFrame(t, nc), &resp))
	require.Equal(t, int32(2), resp.Opaque)
}

func TestMalformedHeaderIsAnsweredAndTheConnectionLives(t *testing.T) {
	s, addr := start(t, echo, nil)
	nc := rawDial(t, addr)
	b := lengthPrefixed(
		frameOf(JSON, `{"code":10,"opaque":5,"extFields":]}`, nil),
		frameOf(JSON, `no opaque in here`, nil),
		frameOf(JSON, `{"code":10,"opaque":6,"flag":2,]}`, nil), // one-way
		frameOf(JSON, `{"code":10,"opaque":7}`, nil),
	)
	_, err := nc.Write(b)
	require.NoError(t, err)
	var resp Command
	require.NoError(t, Decode(readFrame(t, nc), &resp))
	require.Equal(t, int32(5), resp.Opaque)
	require.Equal(t, RespSystemError, resp.Code)
	require.Contains(t, resp.Remark, "malformed header")
	require.NoError(t, Decode(readFrame(t, nc), &resp))
	require.Equal(t, int32(7), resp.Opaque)
	require.Equal(t, RespSuccess, resp.Code)
	require.Equal(t, uint64(3), s.Stats().BadHeaders)
}

func TestLostFramingClosesTheConnectionAndIsCounted(t *testing.T) {
	for name, bytes := range map[string]string{
		"length":       "GET / HTTP/1.1\r\n\r\n",
		"header word":  "\x00\x00\x00\x06\x00\x00\xff\xff{}",
		"unknown form": "\x00\x00\x00\x06\x07\x00\x00\x02{}",
	} {
		t.Run(name, func(t *testing.T) {
			closed := make(chan CloseReason, 1)
			s, addr := start(t, echo, &ServerOptions{OnClose: func(_ *Conn, r CloseReason, err error) {
				closed <- r
			}})
			nc := rawDial(t, addr)
			_, err := nc.Write([]byte(bytes))
			require.NoError(t, err)
			requireClosed(t, nc)
			require.Equal(t, CloseFraming, <-closed)
			require.Equal(t, uint64(1), s.Stats().Closed[CloseFraming])
		})
	}
}

func TestConnectionsBeyondMaxConnsAreRefused(t *testing.T) {
	s, addr := start(t, echo, &ServerOptions{MaxConns: 1})
	c := dial(t, addr, nil)
	_, err := c.Invoke(context.Background(), NewRequest(1))
	require.NoError(t, err)
	requireClosed(t, rawDial(t, addr))
	require.Equal(t, uint64(1), s.Stats().Refused)
	require.Equal(t, int64(1), s.Stats().Open)
	_, err = c.Invoke(context.Background(), NewRequest(1))
	require.NoError(t, err, "the first one is served on")
}

func TestAPeerThatDoesNotReadIsClosed(t *testing.T) {
	sent := make(chan error, 1)
	reason := make(chan CloseReason, 1)
	h := handlerFunc(func(c *Conn, _ *Command) {
		go func() {
			push := &Command{Code: ReqNotifyConsumerIDsChanged, Body: make([]byte, 1<<20)}
			for {
				if err := c.Oneway(push); err != nil {
					sent <- err
					return
				}
			}
		}()
	})
	_, addr := start(t, h, &ServerOptions{
		MaxOutBytes: 4 << 20, OnClose: func(_ *Conn, r CloseReason, _ error) { reason <- r },
	})
	nc := rawDial(t, addr)
	_, err := nc.Write(AppendFrame(nil, &Command{Flag: FlagOneway}))
	require.NoError(t, err)
	require.ErrorIs(t, <-sent, ErrSlowReader)
	require.Equal(t, CloseSlowReader, <-reason)
}

func TestLargeBodiesAreWrittenByTheCaller(t *testing.T) {
	const size = 3 << 20
	h := handlerFunc(func(c *Conn, cmd *Command) {
		hint, err := cmd.Int32("hint")
		if err != nil {
			_ = c.Reply(cmd.Token(), RespSystemError, err.Error(), nil, nil)
			return
		}
		_ = c.ReplyFunc(cmd.Token(), RespSuccess, "FOUND", nil, int(hint), func(dst []byte) []byte {
			return append(dst, make([]byte, size)...)
		})
	})
	_, addr := start(t, h, nil)
	c := dial(t, addr, nil)
	for _, hint := range []string{"-1", "0", "3145728", "10000000"} {
		resp, err := c.Invoke(context.Background(), NewRequest(1, Field{"hint", hint}))
		require.NoError(t, err)
		require.Equal(t, "FOUND", resp.Remark)
		require.Len(t, resp.Body, size)
	}
}

func TestAReplyThatIsTooLargeCanBeReplaced(t *testing.T) {
	h := handlerFunc(func(c *Conn, cmd *Command) {
		for _, n := range []int{3000, 9000} { // in a shared buffer, in one of its own
			if err := c.Reply(cmd.Token(), RespSuccess, "", nil, make([]byte, n)); !errors.Is(err, ErrTooLarge) {
				panic(err)
			}
		}
		_ = c.Reply(cmd.Token(), RespSystemError, "too large", nil, nil)
	})
	_, addr := start(t, h, &ServerOptions{MaxFrame: 2048})
	resp, err := dial(t, addr, nil).Invoke(context.Background(), NewRequest(1))
	require.NoError(t, err)
	require.Equal(t, "too large", resp.Remark)
}

// recorder notes what happens to its connections.
type recorder struct {
	mu     sync.Mutex
	events []string
	closed chan struct{}
}

func (r *recorder) note(what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, what)
}

func (r *recorder) Handle(c *Conn, cmd *Command) {
	if c.Value("seen") == nil {
		r.note("first")
	}
	c.Set("seen", true)
	r.note("handle")
	_ = c.Reply(cmd.Token(), RespSuccess, c.RemoteAddr().String(), nil, nil)
}

func (r *recorder) Closed(c *Conn) {
	if c.Value("seen") == true && errors.Is(c.Err(), ErrClosed) {
		r.note("closed")
	}
	close(r.closed)
}

func TestClosedIsCalledOnceAfterTheLastRequest(t *testing.T) {
	r := &recorder{closed: make(chan struct{})}
	_, addr := start(t, r, nil)
	c := dial(t, addr, nil)
	for range 2 {
		resp, err := c.Invoke(context.Background(), NewRequest(1))
		require.NoError(t, err)
		require.Equal(t, c.Conn().LocalAddr().String(), resp.Remark)
		require.Equal(t, addr, c.Conn().RemoteAddr().String())
	}
	require.NoError(t, c.Conn().Err())
	require.NoError(t, c.Close())
	<-r.closed
	require.Equal(t, []string{"first", "handle", "handle", "closed"}, r.events)
}

func TestStatsCountBytesAndFrames(t *testing.T) {
	s, addr := start(t, echo, nil)
	c := dial(t, addr, nil)
	for range 10 {
		_, err := c.Invoke(context.Background(), &Command{Code: 1, Body: make([]byte, 1000)})
		require.NoError(t, err)
	}
	require.NoError(t, c.Close())
	require.NoError(t, s.Close())
	st := s.Stats()
	require.Equal(t, uint64(10), st.Frames)
	require.Greater(t, st.BytesIn, uint64(10_000))
	require.Greater(t, st.BytesOut, uint64(10_000))
	require.Equal(t, uint64(1), st.Accepted)
	require.Zero(t, st.Open)
}

func TestViewsKeptBeyondTheHandlerAreCaughtUnderTheRaceDetector(t *testing.T) {
	if !poisonFrames {
		t.Skip("needs -race")
	}
	kept := make(chan string, 2)
	h := handlerFunc(func(c *Conn, cmd *Command) {
		kept <- cmd.Get("topic")
		_ = c.Reply(cmd.Token(), RespSuccess, "", nil, nil)
	})
	_, addr := start(t, h, nil)
	c := dial(t, addr, nil)
	_, err := c.Invoke(context.Background(), NewRequest(1, Field{"topic", "TopicA"}))
	require.NoError(t, err)
	_, err = c.Invoke(context.Background(), NewRequest(2)) // the reader is past the first one
	require.NoError(t, err)
	require.NotEqual(t, "TopicA", <-kept)
}

func TestServeAfterCloseClosesItsListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := NewServer(echo, nil)
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Serve(l), ErrServerClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestServeEndsWhenItsListenerIsClosed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := NewServer(echo, nil)
	defer s.Close()
	require.NoError(t, l.Close())
	require.ErrorIs(t, s.Serve(l), net.ErrClosed)
}

func TestShutdownWaitsForAnswersThatAreStillDue(t *testing.T) {
	arrived := make(chan Token, 1)
	var conn *Conn
	h := handlerFunc(func(c *Conn, cmd *Command) {
		conn = c
		arrived <- cmd.Token()
	})
	s, addr := start(t, h, nil)
	c := dial(t, addr, nil)
	answer := make(chan *Command, 1)
	c.Go(NewRequest(1), func(resp *Command, err error) {
		if err == nil {
			answer <- resp.Clone()
		}
		close(answer)
	})
	token := <-arrived
	stopped := make(chan error, 1)
	go func() { stopped <- s.Shutdown(context.Background()) }()
	_, err := Dial(context.Background(), addr, nil)
	for err == nil { // until the listener is closed
		_, err = Dial(context.Background(), addr, nil)
	}
	select {
	case err := <-stopped:
		t.Fatalf("shut down with a request unanswered: %v", err)
	default:
	}
	require.NoError(t, conn.Reply(token, RespSuccess, "at last", nil, make([]byte, 1<<20)))
	require.Equal(t, "at last", (<-answer).Remark)
	require.NoError(t, <-stopped)
	require.ErrorIs(t, conn.Err(), ErrClosed)
}

func TestShutdownClosesWhatIsOpenWhenItsContextEnds(t *testing.T) {
	arrived := make(chan struct{}, 1)
	s, addr := start(t, handlerFunc(func(*Conn, *Command) { arrived <- struct{}{} }), nil)
	c := dial(t, addr, nil)
	failed := make(chan error, 1)
	c.Go(NewRequest(1), func(_ *Command, err error) { failed <- err })
	<-arrived
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Shutdown(ctx), context.DeadlineExceeded)
	require.ErrorIs(t, <-failed, ErrClosed)
}
