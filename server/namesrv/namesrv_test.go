package namesrv

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/server/remoting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a broker with one topic.
type fake struct{ addr netip.AddrPort }

func (fake) Cluster() string              { return "DefaultCluster" }
func (fake) BrokerName() string           { return "broker-a" }
func (f fake) Advertised() netip.AddrPort { return f.addr }
func (fake) Topics() []string             { return []string{"TBW102", "orders"} }
func (fake) Route(topic string) (read, write, perm, sysFlag int32, ok bool) {
	return 8, 4, 6, 0, topic == "orders"
}

// ask sends one request to a name server for routes and returns the answer.
func ask(t *testing.T, routes Routes, code int32, ext ...remoting.Field) *remoting.Command {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := remoting.NewServer(New(routes), &remoting.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	c, err := remoting.Dial(ctx, l.Addr().String(), nil)
	require.NoError(t, err)
	resp, err := c.Invoke(ctx, remoting.NewRequest(code, ext...))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, server.Shutdown(ctx))
	<-done
	return resp
}

var atHome = fake{netip.MustParseAddrPort("192.0.2.1:10911")}

func TestRouteIsCompactStandardJSON(t *testing.T) {
	resp := ask(t, atHome, remoting.ReqGetRouteInfoByTopic, remoting.Field{Key: "topic", Value: "orders"})
	require.Equal(t, remoting.RespSuccess, resp.Code)
	require.Equal(t, `{"brokerDatas":[{"brokerAddrs":{"0":"192.0.2.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],`+
		`"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":4}]}`, string(resp.Body))
}

func TestUnknownTopicHasNoRoute(t *testing.T) {
	resp := ask(t, atHome, remoting.ReqGetRouteInfoByTopic, remoting.Field{Key: "topic", Value: "unknown"})
	require.Equal(t, remoting.RespTopicNotExist, resp.Code)
	require.Equal(t, "No topic route info in name server for the topic: unknown", resp.Remark)
	resp = ask(t, atHome, remoting.ReqGetRouteInfoByTopic, remoting.Field{Key: "topic", Value: strings.Repeat("x", 20_000)})
	require.Equal(t, remoting.RespTopicNotExist, resp.Code)
	require.Less(t, len(resp.Remark), 600, "a name is not echoed for ever")
}

func TestUnspecifiedAddressBecomesTheOneTheClientUsed(t *testing.T) {
	resp := ask(t, fake{netip.MustParseAddrPort("0.0.0.0:10911")}, remoting.ReqGetRouteInfoByTopic, remoting.Field{Key: "topic", Value: "orders"})
	require.Contains(t, string(resp.Body), `{"0":"127.0.0.1:10911"}`)
}

func TestClusterInfoNamesTheBroker(t *testing.T) {
	resp := ask(t, atHome, remoting.ReqGetBrokerClusterInfo)
	require.Equal(t, `{"brokerAddrTable":{"broker-a":{"brokerAddrs":{"0":"192.0.2.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}},`+
		`"clusterAddrTable":{"DefaultCluster":["broker-a"]}}`, string(resp.Body))
}

func TestTopicsAreListed(t *testing.T) {
	cluster := func(name string) remoting.Field { return remoting.Field{Key: "cluster", Value: name} }
	for _, x := range []struct {
		code int32
		ext  remoting.Field
		want string
	}{
		{remoting.ReqGetAllTopicsFromNamesrv, remoting.Field{}, "TBW102 orders"},
		{remoting.ReqGetTopicsByCluster, cluster("DefaultCluster"), "TBW102 orders"},
		{remoting.ReqGetTopicsByCluster, cluster("other"), ""},
		{remoting.ReqGetSystemTopicsFromNS, remoting.Field{}, "DefaultCluster broker-a"},
		{remoting.ReqGetUnitTopicList, remoting.Field{}, ""},
	} {
		var list topicList
		require.NoError(t, json.Unmarshal(ask(t, atHome, x.code, x.ext).Body, &list))
		require.Equal(t, x.want, strings.Join(list.Topics, " "), x.code)
		require.NotNil(t, list.Topics, "an empty list is [], not null")
	}
}

func TestOtherCodesAreNotSupported(t *testing.T) {
	require.False(t, New(atHome).Serves(remoting.ReqPullMessage))
	require.True(t, New(atHome).Serves(remoting.ReqGetRouteInfoByTopic))
	resp := ask(t, atHome, remoting.ReqPullMessage)
	require.Equal(t, remoting.RespRequestCodeNotSupported, resp.Code)
	require.Equal(t, " request type 11 not supported", resp.Remark)
}
