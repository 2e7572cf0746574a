package namesrv

import (
	"fmt"
	"net/netip"

	"github.com/duelog/duelog/server/remoting"
)

// routeData is TopicRouteData, the answer to GET_ROUTEINFO_BY_TOPIC. The order
// of the fields is Apache's.
type routeData struct {
	Brokers       []brokerData        `json:"brokerDatas"`
	FilterServers map[string][]string `json:"filterServerTable"`
	Queues        []queueData         `json:"queueDatas"`
}

type brokerData struct {
	Addrs              map[string]string `json:"brokerAddrs"` // broker id -> host:port
	Name               string            `json:"brokerName"`
	Cluster            string            `json:"cluster"`
	EnableActingMaster bool              `json:"enableActingMaster"`
}

type queueData struct {
	BrokerName  string `json:"brokerName"`
	Perm        int32  `json:"perm"`
	ReadQueues  int32  `json:"readQueueNums"`
	SysFlag     int32  `json:"topicSysFlag"`
	WriteQueues int32  `json:"writeQueueNums"`
}

// masterID is the broker id under which clients look for the broker that takes
// writes.
const masterID = "0"

// route serves GET_ROUTEINFO_BY_TOPIC 105. For a topic that does not exist the
// answer is 17, upon which a producer asks for the route of the template topic
// TBW102 instead.
func (s *Server) route(c *remoting.Conn, cmd *remoting.Command) {
	topic := cmd.Get("topic")
	read, write, perm, sysFlag, ok := s.routes.Route(topic)
	if !ok {
		reply(c, cmd, remoting.RespTopicNotExist, fmt.Sprintf("No topic route info in name server for the topic: %.255s", topic), nil)
		return
	}
	replyJSON(c, cmd, routeData{
		Brokers:       []brokerData{s.broker(c.LocalAddr())},
		FilterServers: map[string][]string{},
		Queues:        []queueData{{BrokerName: s.routes.BrokerName(), Perm: perm, ReadQueues: read, SysFlag: sysFlag, WriteQueues: write}},
	})
}

// broker describes the broker to a client that came in by the address local.
func (s *Server) broker(local netip.AddrPort) brokerData {
	addr := s.routes.Advertised()
	if addr.Addr().IsUnspecified() {
		addr = netip.AddrPortFrom(local.Addr().Unmap(), addr.Port())
	}
	return brokerData{
		Addrs:   map[string]string{masterID: addr.String()},
		Name:    s.routes.BrokerName(),
		Cluster: s.routes.Cluster(),
	}
}

// clusterInfo serves GET_BROKER_CLUSTER_INFO 106.
func (s *Server) clusterInfo(c *remoting.Conn, cmd *remoting.Command) {
	name := s.routes.BrokerName()
	replyJSON(c, cmd, struct {
		Brokers  map[string]brokerData `json:"brokerAddrTable"`
		Clusters map[string][]string   `json:"clusterAddrTable"`
	}{
		Brokers:  map[string]brokerData{name: s.broker(c.LocalAddr())},
		Clusters: map[string][]string{s.routes.Cluster(): {name}},
	})
}
