package remoting

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// greeter keeps the connections that have sent something.
type greeter chan *Conn

func (g greeter) Handle(c *Conn, cmd *Command) {
	_ = c.Reply(cmd.Token(), RespSuccess, "", nil, nil)
	g <- c
}

func (g greeter) Closed(*Conn) {}

// connect returns a client and the server's side of its connection.
func connect(t *testing.T, o *ClientOptions) (*Client, *Conn) {
	g := make(greeter, 1)
	_, addr := start(t, g, nil)
	c := dial(t, addr, o)
	_, err := c.Invoke(context.Background(), NewRequest(1))
	require.NoError(t, err)
	return c, <-g
}

func TestTheServerCanAskItsClient(t *testing.T) {
	_, conn := connect(t, &ClientOptions{OnRequest: func(c *Conn, cmd *Command) {
		_ = c.Reply(cmd.Token(), RespSuccess, "", cmd.Ext, append([]byte("re:"), cmd.Body...))
	}})
	for _, s := range []Serialize{JSON, Binary} {
		resp, err := conn.Invoke(context.Background(), &Command{
			Code: ReqGetConsumerRunningInfo, Serialize: s, Ext: []Field{{"k", "v"}}, Body: []byte("info"),
		})
		require.NoError(t, err)
		require.Equal(t, s, resp.Serialize)
		require.Equal(t, "v", resp.Get("k"))
		require.Equal(t, "re:info", string(resp.Body))
	}
}

func TestTheServerCanNotifyItsClient(t *testing.T) {
	got := make(chan *Command, 1)
	_, conn := connect(t, &ClientOptions{OnRequest: func(_ *Conn, cmd *Command) { got <- cmd.Clone() }})
	require.NoError(t, conn.Oneway(NewRequest(ReqNotifyConsumerIDsChanged, Field{"consumerGroup", "g"})))
	cmd := <-got
	require.Equal(t, FlagOneway, cmd.Flag)
	require.Equal(t, "g", cmd.Get("consumerGroup"))
}

func TestAClientWithoutAHandlerRefusesRequests(t *testing.T) {
	_, conn := connect(t, nil)
	resp, err := conn.Invoke(context.Background(), NewRequest(ReqConsumeMessageDirectly))
	require.NoError(t, err)
	require.Equal(t, RespRequestCodeNotSupported, resp.Code)
}

func TestInvokeEndsWithItsContext(t *testing.T) {
	requests := make(chan Token, 1)
	_, conn := connect(t, &ClientOptions{OnRequest: func(c *Conn, cmd *Command) {
		select {
		case requests <- cmd.Token():
		default:
			_ = c.Reply(<-requests, RespSuccess, "too late", nil, nil)
			_ = c.Reply(cmd.Token(), RespSuccess, "in time", nil, nil)
		}
	}})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := conn.Invoke(ctx, NewRequest(1))
	require.ErrorIs(t, err, context.Canceled)
	resp, err := conn.Invoke(context.Background(), NewRequest(2))
	require.NoError(t, err)
	require.Equal(t, "in time", resp.Remark, "the late answer to the first one is dropped")
}

func TestCallsFailWhenTheConnectionEnds(t *testing.T) {
	arrived := make(chan *Conn, 1)
	_, addr := start(t, handlerFunc(func(c *Conn, _ *Command) { arrived <- c }), nil)
	closed := make(chan error, 1)
	c := dial(t, addr, &ClientOptions{OnClose: func(err error) { closed <- err }})
	failed := make(chan error, 2)
	c.Go(NewRequest(1), func(_ *Command, err error) { failed <- err })
	conn := <-arrived
	require.NoError(t, conn.Close())
	require.ErrorIs(t, <-failed, ErrClosed)
	require.ErrorIs(t, <-closed, ErrClosed)
	<-c.Conn().Done()
	<-conn.Done()
	c.Go(NewRequest(1), func(_ *Command, err error) { failed <- err })
	require.ErrorIs(t, <-failed, ErrClosed)
	require.ErrorIs(t, c.Oneway(NewRequest(1)), ErrClosed)
	_, err := c.Invoke(context.Background(), NewRequest(1))
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, conn.Reply(Token{}, 0, "", nil, nil), ErrClosed)
	require.NoError(t, conn.Reply(Token{Oneway: true}, 0, "", nil, nil))
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
}

func TestAResponseThatIsMalformedFailsItsCall(t *testing.T) {
	_, addr := start(t, handlerFunc(func(c *Conn, cmd *Command) {
		bad := lengthPrefixed(frameOf(JSON, `{"flag":1,"opaque":1,"code":]}`, nil))
		if _, err := c.nc.Write(bad); err != nil {
			panic(err)
		}
	}), nil)
	_, err := dial(t, addr, nil).Invoke(context.Background(), NewRequest(1))
	require.ErrorIs(t, err, ErrHeader)
}

func TestDialReportsWhatItCouldNotReach(t *testing.T) {
	_, err := Dial(context.Background(), "127.0.0.1:1", nil)
	require.ErrorContains(t, err, "dial 127.0.0.1:1")
}
