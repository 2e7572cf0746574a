package wire

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// Places of the fields that change from message to message, in the header of
// SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE.
const (
	fieldQueue = iota
	fieldBorn
	fieldProperties
	fieldBatch
)

// publisher is a bench.Publisher over one connection.
type publisher struct {
	topic  *Topic
	client *remoting.Client
	acked  func(uint64, error)
	batch  int

	single *remoting.Command
	born   millis // of the header's born time
	due    millis // of the property
	props  string // properties for due

	group *remoting.Command // of a batch
	ids   []uint64          // in the batch that is collected
}

// Publisher opens a bench.Publisher. A batch of 0 or 1 sends each message in a
// request of its own; a larger one, in batch requests for one queue.
func (t *Topic) Publisher(ctx context.Context, o bench.PublisherOptions) (bench.Publisher, error) {
	conn, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	p := &publisher{topic: t, client: conn, acked: o.Acked, batch: max(o.Batch, 1)}
	p.single = t.request(remoting.ReqSendMessageV2, p.header("false")...)
	p.group = t.request(remoting.ReqSendBatchMessage, p.header("true")...)
	return p, nil
}

func (p *publisher) header(batch string) []remoting.Field {
	return []remoting.Field{
		fieldQueue:      field("e", "0"),
		fieldBorn:       field("g", "0"),
		fieldProperties: field("i", ""),
		fieldBatch:      field("m", batch),
		4:               field("a", "bench-producer"),
		5:               field("b", p.topic.o.Topic),
		6:               field("c", defaultTopic),
		7:               field("d", strconv.Itoa(p.topic.o.Queues)),
		8:               field("f", "0"),
		9:               field("h", "0"),
		10:              field("j", "0"),
		11:              field("k", "false"),
		12:              field("l", "16"),
	}
}

// Publish implements bench.Publisher.
func (p *publisher) Publish(id uint64, due time.Time, body []byte) error {
	if err := p.client.Conn().Err(); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	props := p.properties(due)
	if p.batch > 1 {
		return p.collect(id, body, props)
	}
	p.address(p.single, id)
	p.single.Ext[fieldProperties].Value = props
	p.single.Body = body
	p.client.Go(p.single, func(r *remoting.Command, err error) {
		if err == nil {
			err = client.Refused(r)
		}
		p.acked(id, err)
	})
	return nil
}

// address fills in queue and born time.
func (p *publisher) address(cmd *remoting.Command, id uint64) {
	// Publishers send every second, third, ... id, so these are mixed first: all
	// of them shall use all queues.
	q := (id ^ id>>3) % uint64(p.topic.o.Queues)
	cmd.Ext[fieldQueue].Value = strconv.Itoa(int(q))
	cmd.Ext[fieldBorn].Value = p.born.text(time.Now().UnixMilli())
}

func (p *publisher) properties(due time.Time) string {
	if due.IsZero() {
		return ""
	}
	if ms := due.UnixMilli(); ms != p.due.ms || p.props == "" {
		p.props = string(message.AppendProperty(nil, message.PropTimerDeliverMs, p.due.text(ms)))
	}
	return p.props
}

// collect adds a message to the batch and sends it when it is full.
func (p *publisher) collect(id uint64, body []byte, props string) error {
	var err error
	p.group.Body, err = message.AppendBatchItem(p.group.Body, &message.BatchItem{Body: body, Properties: props})
	if err != nil {
		return err
	}
	if p.ids = append(p.ids, id); len(p.ids) == p.batch {
		return p.Flush()
	}
	return nil
}

// Flush implements bench.Publisher: it sends a batch that is not full.
func (p *publisher) Flush() error {
	if len(p.ids) == 0 {
		return nil
	}
	ids := p.ids
	p.address(p.group, ids[0]/uint64(p.batch))
	p.client.Go(p.group, func(r *remoting.Command, err error) {
		if err == nil {
			err = client.Refused(r)
		}
		for _, id := range ids {
			p.acked(id, err)
		}
	})
	p.group.Body, p.ids = p.group.Body[:0], make([]uint64, 0, p.batch)
	return nil
}

// Close implements bench.Publisher.
func (p *publisher) Close() error { return p.client.Close() }

// millis keeps the text of the last number: many messages share a millisecond.
type millis struct {
	ms int64
	s  string
}

func (m *millis) text(ms int64) string {
	if m.s == "" || m.ms != ms {
		m.ms, m.s = ms, strconv.FormatInt(ms, 10)
	}
	return m.s
}
