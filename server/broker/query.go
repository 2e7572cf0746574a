package broker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// Bounds of a query.
const (
	maxQueryMessages = 64      // in an answer
	maxQueryReads    = 4096    // messages looked at, those of other keys with the same hash included
	maxQueryBytes    = 4 << 20 // of an answer, if it has more than one message
)

// handleQueryMessage serves QUERY_MESSAGE 12: the messages of a topic with a key,
// or with an id (_UNIQUE_KEY_QUERY), newest first, that were stored or due within a
// range of time. Those that still wait are found too; see appendInspected for how
// they look. The answer has at most 64 messages and, beyond the first, 4 MiB.
func handleQueryMessage(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	q, err := parseKeyQuery(cmd)
	if err != nil {
		b.refused(c, cmd.Token(), cmd.Get("topic"), refuse(remoting.RespInvalidParameter, "bad_header", "%v", err))
		return
	}
	body, newest, err := b.query(&q)
	switch {
	case err != nil:
		b.reply(c, cmd, remoting.RespSystemError, fmt.Sprintf("query message: %v", err))
	case len(body) == 0:
		b.reply(c, cmd, remoting.RespQueryNotFound, "can not find message, maybe time range not correct", b.queryExt(newest)...)
	default:
		b.replyBody(c, cmd, remoting.RespSuccess, "", body, b.queryExt(newest)...)
	}
}

// queryExt tells how far the index reaches: it is never behind.
func (b *Broker) queryExt(newest commitlog.Loc) []remoting.Field {
	return []remoting.Field{
		{Key: "indexLastUpdateTimestamp", Value: strconv.FormatInt(b.store.NowMs(), 10)},
		{Key: "indexLastUpdatePhyoffset", Value: strconv.FormatInt(int64(newest), 10)},
	}
}

// keyQuery is the header of a query, its strings views of the request.
type keyQuery struct {
	topic, key   string
	unique       bool // key is a UNIQ_KEY
	max          int
	fromMs, toMs int64 // both included
}

func parseKeyQuery(cmd *remoting.Command) (q keyQuery, err error) {
	q = keyQuery{
		topic: cmd.Get("topic"), key: cmd.Get("key"), max: maxQueryMessages, toMs: math.MaxInt64,
		unique: cmd.Get("_UNIQUE_KEY_QUERY") == "true" || cmd.Get("indexType") == "U",
	}
	if q.topic == "" || q.key == "" {
		return q, errors.New("header fields topic and key are required")
	}
	if cmd.Get("maxNum") != "" {
		n, err := cmd.Int32("maxNum")
		if err != nil || n < 1 {
			return q, fmt.Errorf("header field maxNum: %.40q is no positive number", cmd.Get("maxNum"))
		}
		q.max = min(int(n), maxQueryMessages)
	}
	for name, at := range map[string]*int64{"beginTimestamp": &q.fromMs, "endTimestamp": &q.toMs} {
		if cmd.Get(name) == "" {
			continue
		}
		if *at, err = cmd.Int64(name); err != nil {
			return q, err
		}
	}
	return q, nil
}

// query returns the messages that q asks for and the location of the newest.
func (b *Broker) query(q *keyQuery) (body []byte, newest commitlog.Loc, err error) {
	found, err := b.find(q)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range found {
		more, err := b.appendInspected(body, m.loc)
		switch {
		case errors.Is(err, errNoMessage): // it was recalled, or retention was faster
			continue
		case err != nil:
			return nil, 0, err
		case len(body) == 0:
			newest = m.loc
		case len(more) > maxQueryBytes:
			return body, newest, nil
		}
		body = more
	}
	return body, newest, nil
}

// foundMessage is where a message is, and when it was stored.
type foundMessage struct {
	loc     commitlog.Loc
	storeMs int64
}

// find returns the newest messages that match q. Of a query that finds nothing
// although the index knows candidates it makes sure: they may have been moved
// between the two.
func (b *Broker) find(q *keyQuery) ([]foundMessage, error) {
	s := search{b: b, q: q}
	err := s.run()
	if err == nil && len(s.found) == 0 && s.missing > 0 {
		s = search{b: b, q: q}
		err = s.run()
	}
	slices.SortStableFunc(s.found, func(a, b foundMessage) int { return cmp.Compare(b.storeMs, a.storeMs) })
	return s.found[:min(len(s.found), q.max)], err
}

// search is one walk over the candidates of the key index.
type search struct {
	b       *Broker
	q       *keyQuery
	found   []foundMessage
	lane    uint8
	inLane  int // of found, in lane
	reads   int
	missing int // candidates that are not there
	err     error
}

func (s *search) run() error {
	err := s.b.store.Lookup(KeyHash(s.q.topic, s.q.key), s.visit)
	if s.err != nil {
		return s.err
	}
	if err != nil && len(s.found) > 0 { // a damaged part of the index; the store knows the rest
		s.b.log.Warn("query is answered in part", "topic", s.q.topic, "error", err)
		return nil
	}
	return err
}

// visit looks at one candidate; false ends its lane, of which the newest that fit
// are enough.
func (s *search) visit(loc commitlog.Loc) (older bool) {
	if s.reads++; s.reads > maxQueryReads || s.err != nil {
		return false
	}
	if loc.Lane() != s.lane {
		s.lane, s.inLane = loc.Lane(), 0
	}
	err := s.b.readMessage(loc, func(m *message.Message, _ []byte) error {
		if s.q.wants(m, s.fireMs(loc)) {
			s.found = append(s.found, foundMessage{loc, m.StoreMs})
			s.inLane++
		}
		return nil
	})
	switch {
	case errors.Is(err, errNoMessage):
		s.missing++
	case err != nil:
		s.err = err
		return false
	}
	return s.inLane < s.q.max
}

// fireMs is when a message is or was due, 0 for one that never waited.
func (s *search) fireMs(loc commitlog.Loc) int64 {
	st, err := s.b.store.State(loc)
	if err != nil {
		return 0
	}
	return st.FireMs
}

// wants compares what the hash stands for.
func (q *keyQuery) wants(m *message.Message, fireMs int64) bool {
	if m.Topic != q.topic || !q.within(m.StoreMs) && !q.within(fireMs) {
		return false
	}
	uniq, keys := keyProperties(m.Properties)
	return uniq == q.key || !q.unique && hasKey(keys, q.key)
}

func (q *keyQuery) within(ms int64) bool { return ms >= q.fromMs && ms <= q.toMs }
