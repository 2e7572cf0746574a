package server

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

// echoRole answers every request with its name.
type echoRole struct {
	name  string
	codes map[int32]bool // nil serves all
}

func (e *echoRole) Serves(code int32) bool { return e.codes == nil || e.codes[code] }
func (e *echoRole) Closed(*remoting.Conn)  {}
func (e *echoRole) Handle(c *remoting.Conn, cmd *remoting.Command) {
	if !cmd.IsOneway() {
		_ = c.Reply(cmd.Token(), remoting.RespSuccess, e.name, nil, nil)
	}
}

// serveRouter returns a client of r.
func serveRouter(t *testing.T, r *router) *remoting.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := remoting.NewServer(r, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client, err := remoting.Dial(t.Context(), l.Addr().String(), nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-served, remoting.ErrServerClosed)
	})
	return client
}

func newTestRouter() *router {
	return &router{
		broker:  &echoRole{name: "broker"},
		namesrv: &echoRole{name: "namesrv", codes: map[int32]bool{remoting.ReqGetRouteInfoByTopic: true}},
	}
}

func TestTheCodeDecidesWhoAnswers(t *testing.T) {
	client := serveRouter(t, newTestRouter())
	for code, want := range map[int32]string{
		remoting.ReqGetRouteInfoByTopic: "namesrv",
		remoting.ReqSendMessageV2:       "broker",
		31999:                           "broker",
	} {
		reply, err := client.Invoke(t.Context(), remoting.NewRequest(code))
		require.NoError(t, err)
		require.Equal(t, want, reply.Remark)
	}
}

func TestWhileDrainingOnlyNewMessagesAreRefused(t *testing.T) {
	r := newTestRouter()
	r.draining.Store(true)
	client := serveRouter(t, r)
	for code, want := range map[int32]int32{
		remoting.ReqSendMessage:          remoting.RespServiceNotAvailable,
		remoting.ReqSendMessageV2:        remoting.RespServiceNotAvailable,
		remoting.ReqSendBatchMessage:     remoting.RespServiceNotAvailable,
		remoting.ReqConsumerSendMsgBack:  remoting.RespServiceNotAvailable,
		remoting.ReqUpdateConsumerOffset: remoting.RespSuccess,
		remoting.ReqUnregisterClient:     remoting.RespSuccess,
	} {
		reply, err := client.Invoke(t.Context(), remoting.NewRequest(code))
		require.NoError(t, err)
		require.Equal(t, want, reply.Code, remoting.RequestName(code))
	}
	require.NoError(t, client.Oneway(remoting.NewRequest(remoting.ReqSendMessageV2)))
	reply, err := client.Invoke(t.Context(), remoting.NewRequest(remoting.ReqGetRouteInfoByTopic))
	require.NoError(t, err, "a refused one-way message gets no answer that would be taken for another's")
	require.Equal(t, "namesrv", reply.Remark)
}
