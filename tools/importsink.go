package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// importSink takes messages in batches, under their ids and fire times.
type importSink interface {
	// store stores a list of message envelopes durably.
	store(ctx context.Context, envelopes []byte, skipExisting bool) (*client.ImportResult, error)
	// topic creates a topic unless there is one of that name.
	topic(ctx context.Context, t *client.TopicConfig) error
	close() error
}

// onlineSink is a running broker.
type onlineSink struct {
	cl   *client.Client
	addr string
}

func (s *onlineSink) store(ctx context.Context, envelopes []byte, skipExisting bool) (*client.ImportResult, error) {
	return s.cl.Import(ctx, s.addr, envelopes, skipExisting)
}

func (s *onlineSink) topic(ctx context.Context, t *client.TopicConfig) error {
	_, err := s.cl.Route(ctx, t.Name)
	if client.IsRefused(err, remoting.RespTopicNotExist) {
		return s.cl.CreateTopic(ctx, s.addr, t)
	}
	return err
}

func (s *onlineSink) close() error { return nil } // the client has another owner

// offlineSink is a store that nobody else has open, with the tables of topics and
// groups that a broker keeps beside it.
type offlineSink struct {
	st *store.Store
	b  *broker.Broker
}

func openOfflineSink(dir string, segmentSize int64) (*offlineSink, error) {
	o := maintenance(dir)
	o.MaxDelay = 0 // the store's own limit is the broker's default
	o.SegmentSize = cmp.Or(o.SegmentSize, segmentSize)
	o.DelaySegmentSize = cmp.Or(o.DelaySegmentSize, min(segmentSize, store.DefaultDelaySegmentSize))
	st, err := store.Open(dir, o)
	if err != nil {
		return nil, explainOpen(dir, err)
	}
	b, err := broker.New(st, filepath.Join(dir, "config"), &broker.Options{
		AutoCreateTopic: true, AutoCreateGroup: true, MaxMessageSize: maxImportedBody, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &offlineSink{st, b}, nil
}

// maxImportedBody is what the protocol's frames can carry: whoever stored a
// message had a limit of his own.
const maxImportedBody = 16<<20 - 256<<10

// explainOpen says what to do about a store that cannot be opened.
func explainOpen(dir string, err error) error {
	var locked *store.LockedError
	if errors.As(err, &locked) {
		return hint(err, "use the broker that has it: --online instead of --store %s; or stop it first", dir)
	}
	return hint(err, "duelogctl verify %s", dir)
}

func (s *offlineSink) store(_ context.Context, envelopes []byte, skipExisting bool) (*client.ImportResult, error) {
	r, err := s.b.Import(envelopes, &broker.ImportOptions{SkipExisting: skipExisting})
	if err != nil {
		return nil, err
	}
	res := &client.ImportResult{Imported: r.Imported, Due: r.Due, Skipped: r.Skipped}
	for _, f := range r.Refused {
		res.Refused = append(res.Refused, client.ImportRefusal(f))
	}
	return res, nil
}

func (s *offlineSink) topic(_ context.Context, t *client.TopicConfig) error {
	return s.b.EnsureTopic(t.Name, t.ReadQueues, t.WriteQueues, t.Perm)
}

func (s *offlineSink) close() error { return errors.Join(s.b.Close(), s.st.Close()) }

// batcher collects messages for a sink.
type batcher struct {
	sink         importSink
	skipExisting bool
	buf          []byte
	rec          []byte
	names        []string // what each message of the batch is called in a report
	total        client.ImportResult
	// refused is told of each message that was not stored.
	refused func(name, reason string)
}

// Bounds of a batch: what one request may well hold.
const (
	batchMessages = 1000
	batchBytes    = 2 << 20
)

// add takes a message; name is what it is called in a report.
func (b *batcher) add(ctx context.Context, m *message.Message, fireMs int64, name string) error {
	var err error
	if b.rec, err = message.Append(b.rec[:0], m); err != nil {
		return err
	}
	if len(b.buf) > 0 && len(b.buf)+len(b.rec) > batchBytes || len(b.names) == batchMessages {
		if err := b.flush(ctx); err != nil {
			return err
		}
	}
	b.buf = message.AppendEnvelope(b.buf, &message.Envelope{FireMs: fireMs, BodySize: int32(len(m.Body)), Record: b.rec})
	b.names = append(b.names, name)
	return nil
}

// refuse notes a message that is not even given to the sink.
func (b *batcher) refuse(name, reason string) {
	b.total.Refused = append(b.total.Refused, client.ImportRefusal{Reason: reason})
	b.refused(name, reason)
}

// flush stores what was collected. That not one of many was taken is an error: it
// will not be better with the rest.
func (b *batcher) flush(ctx context.Context) error {
	if len(b.names) == 0 {
		return nil
	}
	r, err := b.sink.store(ctx, b.buf, b.skipExisting)
	if err != nil {
		return err
	}
	b.total.Imported += r.Imported
	b.total.Due += r.Due
	b.total.Skipped += r.Skipped
	b.total.Refused = append(b.total.Refused, r.Refused...)
	for _, f := range r.Refused {
		if f.Index >= 0 && f.Index < len(b.names) {
			b.refused(b.names[f.Index], f.Reason)
		}
	}
	full := len(b.names) == batchMessages
	b.buf, b.names = b.buf[:0], b.names[:0]
	if full && len(r.Refused) == batchMessages {
		return fmt.Errorf("%d messages in a row were refused, the last because %s", batchMessages, r.Refused[batchMessages-1].Reason)
	}
	return nil
}
