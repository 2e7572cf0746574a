package tools

import (
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// messageRows prints visible messages of queues.
type messageRows struct {
	*table
	body string // --body
}

func newMessageRows(e *env, body string) *messageRows {
	return &messageRows{e.table("visible", "topic", "queue", "offset", "id", "tags", "keys", "due", "late", "body"), body}
}

func (r *messageRows) put(q client.Queue, m *message.Message) {
	var due, late any
	if t, ok := dueOf(m); ok {
		due, late = t, time.UnixMilli(m.StoreMs).Sub(t)
	}
	r.row(ms(m.StoreMs), q.Topic, q.ID, m.QueueOffset, idOf(m), orNil(message.Get(m.Properties, message.PropTags)),
		orNil(message.Get(m.Properties, message.PropKeys)), due, late, bodyCell(r.body, m.Body))
}

// idOf is the id that clients show.
func idOf(m *message.Message) string {
	if id := message.Get(m.Properties, message.PropUniqKey); id != "" {
		return id
	}
	return string(message.AppendOffsetID(nil, m.StoreHost, m.PhysicalOffset))
}

// dueOf is when a message was to be delivered, as far as it says so itself: one
// that waited for a delay level does not.
func dueOf(m *message.Message) (time.Time, bool) {
	n, err := strconv.ParseInt(message.Get(m.Properties, message.PropTimerOutMs), 10, 64)
	return time.UnixMilli(n), err == nil
}

// orNil is s, or no value when it is empty.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// bodyCell is a body as --body asks for it; what is no text is shown as hex.
func bodyCell(form string, b []byte) any {
	switch {
	case form == "none":
		return nil
	case !utf8.Valid(b):
		form = "hex"
	}
	return showBody(form, b)
}
