package wire

import (
	"context"
	"fmt"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// Pending calls visit with each message of the topic that waits and the time for which
// it waits, soonest first, until visit returns false. It is an extension of duelog:
// other brokers refuse it.
func (t *Topic) Pending(ctx context.Context, visit func(body []byte, due time.Time) bool) error {
	c, err := t.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for ms, loc, more := "0", "0", true; more; {
		cmd := t.request(remoting.ReqDuelogPendingList, field("topic", t.o.Topic), field("fromMs", ms), field("afterLoc", loc))
		r, err := c.Invoke(ctx, cmd)
		if err != nil {
			return err
		}
		if r.Code != remoting.RespSuccess {
			return fmt.Errorf("the broker answers with code %d: %s", r.Code, r.Remark)
		}
		if n := r.Get("skipped"); n != "0" {
			return fmt.Errorf("%s messages that wait cannot be read", n)
		}
		if more, err = eachWaiting(r.Body, visit); err != nil {
			return err
		}
		more = more && r.Get("more") == "true"
		ms, loc = r.Get("nextMs"), r.Get("nextLoc")
	}
	return nil
}

// eachWaiting visits the messages of one answer; more is false when visit wants no more.
func eachWaiting(list []byte, visit func(body []byte, due time.Time) bool) (more bool, err error) {
	for e, err := range message.Envelopes(list) {
		if err != nil {
			return false, err
		}
		var m message.Message
		if err := message.Decode(e.Record, &m); err != nil {
			return false, err
		}
		if !visit(m.Body, time.UnixMilli(e.FireMs)) {
			return false, nil
		}
	}
	return true, nil
}
