package broker

import (
	"fmt"
	"math"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// Limits of one answer of DUELOG_PENDING_LIST.
const (
	maxPendingListed = 4096
	maxPendingBytes  = 1 << 20 // the first message may be larger
	pendingListLooks = 1 << 20 // messages looked at, for one topic among many
)

// handlePendingList serves DUELOG_PENDING_LIST 30002: the messages that wait, in
// the order in which they fire, from fromMs (and behind afterLoc in that
// millisecond) until before toMs, as message envelopes. topic leaves out others,
// body=false leaves out the bodies, and max bounds their number.
//
// The answer's nextMs and nextLoc are the fromMs and afterLoc of the request that
// goes on; more=false says that there is nothing left. skipped counts messages
// whose records cannot be read.
func handlePendingList(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	l, err := parsePendingList(cmd)
	if err == nil {
		err = b.listPending(l)
	}
	if err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	b.replyBody(c, cmd, remoting.RespSuccess, "", l.body,
		remoting.Field{Key: "nextMs", Value: strconv.FormatInt(l.at.FireMs, 10)},
		remoting.Field{Key: "nextLoc", Value: strconv.FormatInt(int64(l.at.Loc), 10)},
		remoting.Field{Key: "more", Value: strconv.FormatBool(l.more)},
		remoting.Field{Key: "skipped", Value: strconv.Itoa(l.skipped)})
}

// pendingList is a request for a list and its answer in the making.
type pendingList struct {
	at     store.PendingPosition // where it begins, then how far it has come
	toMs   int64
	topic  string
	bodies bool
	most   int32

	body    []byte
	listed  int32
	looks   int
	skipped int
	more    bool
}

func parsePendingList(cmd *remoting.Command) (*pendingList, error) {
	l := &pendingList{topic: cmd.Get("topic")}
	var errs [5]error
	var loc int64
	l.at.FireMs, errs[0] = cmd.Int64Or("fromMs", 0)
	loc, errs[1] = cmd.Int64Or("afterLoc", 0)
	l.toMs, errs[2] = cmd.Int64Or("toMs", math.MaxInt64)
	l.bodies, errs[3] = cmd.BoolOr("body", true)
	l.most, errs[4] = cmd.Int32Or("max", maxPendingListed)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if l.most < 1 {
		return nil, fmt.Errorf("max is %d: ask for 1 message at least", l.most)
	}
	l.at.Loc, l.most = commitlog.Loc(loc), min(l.most, maxPendingListed)
	return l, nil
}

func (b *Broker) listPending(l *pendingList) error {
	for m, err := range b.store.PendingAfter(l.at, l.toMs) {
		if err != nil {
			return err
		}
		if l.listed == l.most || len(l.body) >= maxPendingBytes || l.looks == pendingListLooks {
			l.more = true
			return nil
		}
		l.looks++
		if m.Queue != nil && (l.topic == "" || l.topic == m.Queue.Topic()) {
			if err := b.addPending(l, &m); err != nil {
				return err
			}
		}
		l.at = m.Position()
	}
	return nil
}

// addPending appends m to the list. A record that cannot be had is counted and
// passed over, as it will be when it is due.
func (b *Broker) addPending(l *pendingList, m *store.PendingMessage) error {
	view, err := b.store.Read(m.Loc, m.Size)
	if err != nil {
		if passing(err) {
			return err
		}
		l.skipped++
		return nil
	}
	defer view.Release()
	if err := checkRecord(view.Bytes()); err != nil {
		l.skipped++
		return nil
	}
	rec := view.Bytes()
	var msg message.Message
	if err := message.Decode(rec, &msg); err != nil {
		panic("BUG: a record that was checked cannot be decoded: " + err.Error())
	}
	size := int32(len(msg.Body))
	if !l.bodies {
		msg.Body = nil
		if rec, err = message.Append(nil, &msg); err != nil {
			return err
		}
	}
	l.body = message.AppendEnvelope(l.body, &message.Envelope{FireMs: m.FireMs, Loc: int64(m.Loc), BodySize: size, Record: rec})
	l.listed++
	return nil
}
