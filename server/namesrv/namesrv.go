// Package namesrv answers the name server's request codes for one broker that
// lives in the same process: which topics there are, and where their queues
// can be reached.
//
// A client asks a name server for the route of a topic before it talks to a
// broker, and again every 30 s. An Apache name server collects what brokers
// register; this one has a single broker and asks it directly, so a route is
// never stale: a topic is routed in the same moment in which it can be sent to.
//
// # Promises
//
//   - Answers are compact standard JSON. Old Apache servers write bare integers
//     as object keys; all clients read the standard form, but one of them splits
//     the text by hand and trips over blanks.
//   - A server keeps no state and may be used by any number of goroutines.
//
// # What it does not do
//
// It accepts no registration of other brokers, keeps no key-value configuration,
// and knows no slaves: a route names one broker with id 0.
package namesrv

import (
	"encoding/json"
	"fmt"
	"net/netip"

	"github.com/duelog/duelog/server/remoting"
)

// Routes is the broker as a name server sees it. Its methods are called
// concurrently and must be cheap.
type Routes interface {
	// Cluster and BrokerName are the names under which clients know the broker.
	Cluster() string
	BrokerName() string
	// Advertised is the address clients dial. With an unspecified IP each client
	// is told the IP by which it reached this server.
	Advertised() netip.AddrPort
	// Topics returns the names of all topics, in order.
	Topics() []string
	// Route returns a topic's queues; ok is false when there is no such topic. It
	// may answer for a topic that is created by its first use.
	Route(topic string) (read, write, perm, sysFlag int32, ok bool)
}

// Server answers name server requests; it implements remoting.Handler.
type Server struct{ routes Routes }

// New returns a server for the broker behind routes.
func New(routes Routes) *Server { return &Server{routes: routes} }

type handlerFunc func(s *Server, c *remoting.Conn, cmd *remoting.Command)

var handlers = map[int32]handlerFunc{
	remoting.ReqGetRouteInfoByTopic:      (*Server).route,
	remoting.ReqGetBrokerClusterInfo:     (*Server).clusterInfo,
	remoting.ReqGetAllTopicsFromNamesrv:  (*Server).allTopics,
	remoting.ReqGetTopicsByCluster:       (*Server).topicsByCluster,
	remoting.ReqGetSystemTopicsFromNS:    (*Server).systemTopics,
	remoting.ReqDeleteTopicInNamesrv:     (*Server).deleteTopic,
	remoting.ReqGetUnitTopicList:         (*Server).noTopics,
	remoting.ReqGetHasUnitSubTopicList:   (*Server).noTopics,
	remoting.ReqGetHasUnitSubUnunitTopic: (*Server).noTopics,
}

// Serves tells whether the name server has a handler for a request code, for a
// listener that it shares with a broker.
func (s *Server) Serves(code int32) bool { return handlers[code] != nil }

// Handle serves one request.
func (s *Server) Handle(c *remoting.Conn, cmd *remoting.Command) {
	h := handlers[cmd.Code]
	if h == nil {
		reply(c, cmd, remoting.RespRequestCodeNotSupported, fmt.Sprintf(" request type %d not supported", cmd.Code), nil)
		return
	}
	h(s, c, cmd)
}

// Closed does nothing: the name server keeps nothing per connection.
func (s *Server) Closed(*remoting.Conn) {}

// reply answers cmd unless it is one-way. An error means that the connection is
// gone, and with it who would want to know.
func reply(c *remoting.Conn, cmd *remoting.Command, code int32, remark string, body []byte) {
	if cmd.IsOneway() {
		return
	}
	_ = c.Reply(cmd.Token(), code, remark, nil, body)
}

func replyJSON(c *remoting.Conn, cmd *remoting.Command, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		reply(c, cmd, remoting.RespSystemError, err.Error(), nil)
		return
	}
	reply(c, cmd, remoting.RespSuccess, "", body)
}
