package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// PendingCounts is how many messages wait, per range of time. duelog only.
type PendingCounts struct {
	NowMs   int64   `json:"nowMs"`   // the broker's clock
	Pending int64   `json:"pending"` // everything that waits there, whenever it is due
	FromMs  int64   `json:"fromMs"`
	StepMs  int64   `json:"stepMs"`
	Counts  []int64 `json:"counts"` // of [FromMs+i*StepMs, FromMs+(i+1)*StepMs)
	// Topics is how many of the whole range wait per topic, when that was asked for.
	Topics map[string]int64 `json:"topics"`
	// CompleteToMs is how far Topics, and Counts of a single topic, reach.
	CompleteToMs int64 `json:"completeToMs"`
}

// Complete reports whether all that waits in the ranges was looked at.
func (p *PendingCounts) Complete() bool {
	return p.CompleteToMs >= p.FromMs+int64(len(p.Counts))*p.StepMs
}

// PendingQuery is what PendingCounts counts.
type PendingQuery struct {
	FromMs, StepMs int64
	Ranges         int
	Topic          string // only this one; "" is all
	ByTopic        bool   // fill PendingCounts.Topics
}

// PendingCounts asks a duelog broker how many messages wait. Other brokers refuse
// it with remoting.RespRequestCodeNotSupported.
func (c *Client) PendingCounts(ctx context.Context, addr string, q *PendingQuery) (*PendingCounts, error) {
	ext := []remoting.Field{number("fromMs", q.FromMs), number("stepMs", q.StepMs), number("ranges", q.Ranges)}
	if q.Topic != "" {
		ext = append(ext, field("topic", q.Topic))
	}
	if q.ByTopic {
		ext = append(ext, field("byTopic", "true"))
	}
	r, err := c.Do(ctx, addr, remoting.ReqDuelogPendingCounts, nil, ext...)
	if err != nil {
		return nil, err
	}
	var p PendingCounts
	if err := json.Unmarshal(r.Body, &p); err != nil {
		return nil, fmt.Errorf("read the pending counts of %s: %w", addr, err)
	}
	return &p, nil
}

// PendingRange is what Pending lists. The zero value is everything.
type PendingRange struct {
	FromMs int64
	ToMs   int64 // not included; 0 is no end
	Topic  string
	// WithoutBody leaves the bodies out; Envelope.BodySize tells how long they are.
	WithoutBody bool
	// Max bounds the list; 0 is no bound.
	Max int
	// Skipped, when not nil, is raised by what the broker cannot read.
	Skipped *int
}

// Pending lists the messages that wait at a duelog broker, in the order in which
// they fire. An error ends it.
func (c *Client) Pending(ctx context.Context, addr string, p PendingRange) iter.Seq2[message.Envelope, error] {
	return func(yield func(message.Envelope, error) bool) {
		at, loc, left := p.FromMs, int64(0), p.Max
		for {
			r, err := c.Do(ctx, addr, remoting.ReqDuelogPendingList, nil, p.fields(at, loc, left)...)
			if err != nil {
				yield(message.Envelope{}, err)
				return
			}
			for e, err := range message.Envelopes(r.Body) {
				if !yield(e, err) || err != nil {
					return
				}
				if left--; left == 0 {
					return
				}
			}
			if at, loc, err = p.next(r); err != nil {
				yield(message.Envelope{}, err)
				return
			}
			if r.Get("more") != "true" {
				return
			}
		}
	}
}

func (p *PendingRange) fields(at, loc int64, left int) []remoting.Field {
	ext := []remoting.Field{number("fromMs", at), number("afterLoc", loc)}
	if p.ToMs != 0 {
		ext = append(ext, number("toMs", p.ToMs))
	}
	if p.Topic != "" {
		ext = append(ext, field("topic", p.Topic))
	}
	if p.WithoutBody {
		ext = append(ext, field("body", "false"))
	}
	if left > 0 {
		ext = append(ext, number("max", left))
	}
	return ext
}

func (p *PendingRange) next(r *remoting.Command) (at, loc int64, err error) {
	if skipped, err := r.Int32Or("skipped", 0); err == nil && p.Skipped != nil {
		*p.Skipped += int(skipped)
	}
	if at, err = r.Int64("nextMs"); err != nil {
		return 0, 0, err
	}
	loc, err = r.Int64("nextLoc")
	return at, loc, err
}

// ImportResult says what became of the messages of one Import.
type ImportResult struct {
	Imported int             `json:"imported"` // stored, those that were due included
	Due      int             `json:"due"`      // of these, visible at once because their time had come
	Skipped  int             `json:"skipped"`  // waited already
	Refused  []ImportRefusal `json:"refused"`
}

// ImportRefusal says why one message was not stored.
type ImportRefusal struct {
	Index  int    `json:"index"` // among those given
	Reason string `json:"reason"`
}

// Import stores messages at a duelog broker under their ids and fire times; body is
// of message.AppendEnvelope, at most a few MiB. It returns when they are durable.
func (c *Client) Import(ctx context.Context, addr string, body []byte, skipExisting bool) (*ImportResult, error) {
	ext := []remoting.Field{}
	if skipExisting {
		ext = append(ext, field("skipExisting", "true"))
	}
	r, err := c.Do(ctx, addr, remoting.ReqDuelogImport, body, ext...)
	if err != nil {
		return nil, err
	}
	var res ImportResult
	if err := json.Unmarshal(r.Body, &res); err != nil {
		return nil, fmt.Errorf("read what %s imported: %w", addr, err)
	}
	return &res, nil
}
