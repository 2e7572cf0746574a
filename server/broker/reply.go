package broker

import (
	"encoding/json"
	"strconv"

	"github.com/duelog/duelog/server/remoting"
)

// reply answers cmd without a body. Nothing is sent for a one-way request. An
// error of the connection is not handled here: its reader learns of it too and
// tears down what belongs to it.
func (b *Broker) reply(c *remoting.Conn, cmd *remoting.Command, code int32, remark string, ext ...remoting.Field) {
	b.replyBody(c, cmd, code, remark, nil, ext...)
}

// replyBody is reply with a body, which is copied before it returns.
func (b *Broker) replyBody(c *remoting.Conn, cmd *remoting.Command, code int32, remark string, body []byte, ext ...remoting.Field) {
	if cmd.IsOneway() {
		return
	}
	_ = c.Reply(cmd.Token(), code, remark, ext, body) // see reply
}

// replyOffset answers with the ext field "offset", as the offset codes do.
func (b *Broker) replyOffset(c *remoting.Conn, cmd *remoting.Command, offset int64) {
	b.reply(c, cmd, remoting.RespSuccess, "", remoting.Field{Key: "offset", Value: strconv.FormatInt(offset, 10)})
}

// replyJSON answers with code 0 and v as a compact JSON body: one client splits
// the text by hand and trips over blanks.
func (b *Broker) replyJSON(c *remoting.Conn, cmd *remoting.Command, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	b.replyBody(c, cmd, remoting.RespSuccess, "", body)
}
