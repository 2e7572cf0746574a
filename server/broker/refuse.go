package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// refusal is why a request is not carried out. Nothing was stored. The client
// gets code and remark; C++ and Python clients drop both, so every refusal is
// also counted by reason and logged with the client's address.
type refusal struct {
	code   int32
	reason string // label of the metric: one of a few words, never client data
	remark string
}

// Error is the remark, for callers that pass a refusal on as an error.
func (r *refusal) Error() string { return r.remark }

func refuse(code int32, reason, format string, args ...any) *refusal {
	return &refusal{code: code, reason: reason, remark: fmt.Sprintf(format, args...)}
}

// storeRefusal says in the protocol's terms why the store did not take a message.
func storeRefusal(err error) *refusal {
	var busy *store.BusyError
	switch {
	case errors.As(err, &busy):
		// Clients know these words and wait before they try again.
		return refuse(remoting.RespSystemBusy, busy.Reason, "[%s]broker busy, start flow control for a while, %s", strings.ToUpper(busy.Reason), busy.Detail)
	case errors.Is(err, store.ErrTooFar):
		return refuse(remoting.RespMessageIllegal, "delay_too_long", "timer message illegal, %v", err)
	case errors.Is(err, store.ErrTooLarge):
		return refuse(remoting.RespMessageIllegal, "too_large", "the message is illegal, it does not fit a segment of the store")
	case errors.Is(err, store.ErrQueueDeleted):
		return refuse(remoting.RespTopicNotExist, "topic_deleted", "the topic was deleted a moment ago, apply first please!")
	case errors.Is(err, store.ErrDiskFull):
		return unavailable("disk_full", "the disk is full")
	case errors.Is(err, store.ErrReadOnly):
		return unavailable("read_only", "a write to the disk failed, the store is read-only until the broker is restarted")
	case errors.Is(err, store.ErrClosed):
		return unavailable("closed", "message store has been shut down")
	}
	return refuse(remoting.RespSystemError, "store_error", "store the message: %v", err)
}

func unavailable(reason, why string) *refusal {
	return refuse(remoting.RespServiceNotAvailable, reason, "service not available now. It may be caused by one of the following reasons: %s", why)
}

// refused counts and logs r, and answers with it unless the request was one-way.
func (b *Broker) refused(c *remoting.Conn, t remoting.Token, topic string, r *refusal) {
	b.metrics.refused.WithLabelValues(strconv.Itoa(int(r.code)), r.reason).Inc()
	if ok, skipped := b.prod.refusals.allow(b.store.NowMs() / 1000); ok {
		const enough = 255 // no valid topic is longer
		b.log.Warn("request refused", "client", c.RemoteAddr(), "request", t.Code, "topic", topic[:min(len(topic), enough)],
			"code", r.code, "remark", r.remark, "not_logged", skipped)
	}
	b.answer(c, t, r.code, r.remark, sendExt)
}

// answer sends a reply that may be late: its request is gone.
func (b *Broker) answer(c *remoting.Conn, t remoting.Token, code int32, remark string, ext []remoting.Field) {
	if !t.Oneway {
		_ = c.Reply(t, code, remark, ext, nil) // the reader of c learns of its end too
	}
}

// refusalLines lets the first few refusals of each second into the log: a client
// in a retry loop must not fill its disk. The zero value is ready.
type refusalLines struct {
	mu      sync.Mutex
	second  int64 // of the last line
	lines   int   // in that second
	skipped int   // since the last line
}

const refusalLinesPerSecond = 10

// allow reports whether a line may be logged in this second, and how many were
// held back since the last one.
func (l *refusalLines) allow(second int64) (ok bool, skipped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if second != l.second {
		l.second, l.lines = second, 0
	}
	if l.lines == refusalLinesPerSecond {
		l.skipped++
		return false, 0
	}
	l.lines++
	skipped, l.skipped = l.skipped, 0
	return true, skipped
}
