package broker

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// errNoMessage says that there is no message at a physical offset.
var errNoMessage = errors.New("no message at this offset")

// handleViewMessage serves VIEW_MESSAGE_BY_ID 33: the message at a physical
// offset, which clients take out of an offset message id. A message that still
// waits is shown too; see appendInspected for how it looks.
func handleViewMessage(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	offset, err := cmd.Int64("offset")
	if err != nil {
		b.refused(c, cmd.Token(), cmd.Get("topic"), refuse(remoting.RespInvalidParameter, "bad_header", "%v", err))
		return
	}
	rec, err := b.appendInspected(nil, commitlog.Loc(offset))
	if err != nil {
		b.reply(c, cmd, remoting.RespSystemError, fmt.Sprintf("can not find message by the offset, %d", offset))
		return
	}
	b.replyBody(c, cmd, remoting.RespSuccess, "", rec)
}

// readMessage calls use with the message that is stored at loc. The message is a
// view of stored; both are valid during the call only. Any loc may be asked for:
// errNoMessage is wrapped when no message begins there, or one whose body is
// damaged: stored again it would get a fresh checksum, and nobody could tell.
func (b *Broker) readMessage(loc commitlog.Loc, use func(m *message.Message, stored []byte) error) error {
	view, err := b.store.ReadAt(loc)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", errNoMessage, err)
	}
	if err != nil {
		return err
	}
	defer view.Release()
	var m message.Message
	if err := message.Decode(view.Bytes(), &m); err != nil {
		return fmt.Errorf("%w: %w", errNoMessage, err)
	}
	if err := message.CheckBody(&m); err != nil {
		b.metrics.damaged.Inc()
		return fmt.Errorf("%w: %w", errNoMessage, err)
	}
	return use(&m, view.Bytes())
}
