package namesrv

import (
	"net/netip"

	"github.com/duelog/duelog/server/remoting"
)

// topicList is the answer to every code that lists topics.
type topicList struct {
	BrokerAddr string   `json:"brokerAddr,omitempty"`
	Topics     []string `json:"topicList"`
}

// allTopics serves GET_ALL_TOPIC_LIST_FROM_NAMESERVER 206.
func (s *Server) allTopics(c *remoting.Conn, cmd *remoting.Command) {
	replyJSON(c, cmd, topicList{Topics: s.routes.Topics()})
}

// topicsByCluster serves GET_TOPICS_BY_CLUSTER 224.
func (s *Server) topicsByCluster(c *remoting.Conn, cmd *remoting.Command) {
	list := topicList{Topics: []string{}}
	if cmd.Get("cluster") == s.routes.Cluster() {
		list.Topics = s.routes.Topics()
	}
	replyJSON(c, cmd, list)
}

// systemTopics serves GET_SYSTEM_TOPIC_LIST_FROM_NS 304: the names of clusters
// and brokers, which are topics too.
func (s *Server) systemTopics(c *remoting.Conn, cmd *remoting.Command) {
	addr := s.routes.Advertised()
	if addr.Addr().IsUnspecified() {
		addr = netip.AddrPortFrom(c.LocalAddr().Addr().Unmap(), addr.Port())
	}
	replyJSON(c, cmd, topicList{BrokerAddr: addr.String(), Topics: []string{s.routes.Cluster(), s.routes.BrokerName()}})
}

// deleteTopic serves DELETE_TOPIC_IN_NAMESRV 216, which tools send after they
// have deleted a topic in its broker: its route went with it.
func (s *Server) deleteTopic(c *remoting.Conn, cmd *remoting.Command) {
	reply(c, cmd, remoting.RespSuccess, "", nil)
}

// noTopics serves the codes that list topics of units, which do not exist here.
func (s *Server) noTopics(c *remoting.Conn, cmd *remoting.Command) {
	replyJSON(c, cmd, topicList{Topics: []string{}})
}
