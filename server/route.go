package server

import (
	"sync/atomic"

	"github.com/duelog/duelog/server/remoting"
)

// role is one of the two that answer requests.
type role interface {
	remoting.Handler
	// Serves tells whether the role has a handler for a request code.
	Serves(code int32) bool
}

// router serves both roles on every listener: their request codes do not
// overlap, so the code alone says whose a request is. It implements
// remoting.Handler.
type router struct {
	broker  role
	namesrv role
	// draining refuses new messages; set once, when the stop begins.
	draining atomic.Bool
}

// storing holds the request codes that add messages. While draining they are
// refused; all others, such as committing an offset, are what a client needs to
// finish its own work.
var storing = map[int32]bool{
	remoting.ReqSendMessage:         true,
	remoting.ReqSendMessageV2:       true,
	remoting.ReqSendBatchMessage:    true,
	remoting.ReqConsumerSendMsgBack: true,
	remoting.ReqDuelogImport:        true,
}

// stoppingRemark tells a person at the client what code 14 was about.
const stoppingRemark = "broker is stopping, the message was not stored; send it again"

// Handle passes a request to the role that serves its code. What neither
// serves goes to the broker, which answers that it is not supported.
func (r *router) Handle(c *remoting.Conn, cmd *remoting.Command) {
	switch {
	case r.draining.Load() && storing[cmd.Code]:
		r.refuse(c, cmd)
	case r.namesrv.Serves(cmd.Code):
		r.namesrv.Handle(c, cmd)
	default:
		r.broker.Handle(c, cmd)
	}
}

func (r *router) refuse(c *remoting.Conn, cmd *remoting.Command) {
	if cmd.IsOneway() {
		return
	}
	// An error means that the connection is gone, and with it who would want to know.
	_ = c.Reply(cmd.Token(), remoting.RespServiceNotAvailable, stoppingRemark, nil, nil)
}

// Closed lets the broker forget a client that went away. The name server keeps
// nothing per connection.
func (r *router) Closed(c *remoting.Conn) { r.broker.Closed(c) }
