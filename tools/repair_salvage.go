package tools

import (
	"cmp"
	"os"
	"slices"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/server/message"
)

// A frame is good or bad as a whole, but a batch of a thousand messages in which one
// byte has changed still has 999 good ones. Of a stored RocketMQ message that can be
// told without the frame's checksum:
//
//   - its own layout fits the size in the record header exactly,
//   - its body has the checksum that stands in it,
//   - the record header's hashes of unique key and tag are those of its properties,
//   - the queue is the one that topic and queue id name,
//   - and its slot or fire time is what the queue, the delay index or a property of
//     the message says; without one of them nobody can vouch for it.
//
// What these do not cover is a property other than the two: a letter in one may be
// wrong. So a record is taken out of a bad frame only if its properties are intact as
// a list, and the report counts it apart.

// salvageMost bounds the damaged range that is read at once.
const salvageMost = 64 << 20

// goodRecord is a record in a bad frame.
type goodRecord struct {
	item    commitlog.Item
	header  int64 // lane offset of its header
	payload []byte
}

func (g *goodRecord) end() int64 { return g.item.Loc.Offset() + int64(g.item.Size) }

func isGood(good []goodRecord, loc commitlog.Loc) bool {
	return slices.ContainsFunc(good, func(g goodRecord) bool { return g.item.Loc == loc })
}

// salvage finds the good records of a range of the log without valid frames.
func (c *laneCopy) salvage(from, to int64, refs []ref, entries []delayindex.Entry) []goodRecord {
	good := c.goodRecords(c.rawBytes(from, to), from, from+commitlog.FrameHeaderSize, refs, entries)
	return c.fitting(good, from, to)
}

// goodRecords finds the good records in b, the damaged bytes of the lane from from on:
// the one whose header stands at first, those that refs and entries refer to, and what
// follows each.
func (l *laneRefs) goodRecords(b []byte, from, first int64, refs []ref, entries []delayindex.Entry) []goodRecord {
	starts := []int64{first}
	when := map[commitlog.Loc]int64{} // what index and queues say
	for i := range refs {
		starts = append(starts, refs[i].loc.Offset()-commitlog.RecordHeaderSize)
		when[refs[i].loc] = refs[i].slot
	}
	for i := range entries {
		loc := commitlog.Loc(entries[i].Loc)
		starts = append(starts, loc.Offset()-commitlog.RecordHeaderSize)
		when[loc] = entries[i].FireMs()
	}
	slices.Sort(starts)
	var good []goodRecord
	at := from
	for _, start := range starts {
		for at = max(at, start); ; {
			g, ok := l.goodAt(b, from, at, when)
			if !ok {
				break
			}
			good = append(good, g)
			at = g.end()
		}
	}
	return good
}

// rawBytes reads a range of the original's segment.
func (c *laneCopy) rawBytes(from, to int64) []byte {
	f, err := os.Open(c.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, min(to-from, salvageMost))
	n, _ := f.ReadAt(b, from-c.base) // what cannot be read is lost
	return b[:n]
}

// goodAt looks for a record whose header stands at lane offset at; b are the bytes
// from from on.
func (l *laneRefs) goodAt(b []byte, from, at int64, when map[commitlog.Loc]int64) (g goodRecord, ok bool) {
	if at < from || at-from >= int64(len(b)) {
		return g, false
	}
	b = b[at-from:]
	it, err := commitlog.ParseRecordHeader(b)
	if err != nil || int(it.Size) > len(b)-commitlog.RecordHeaderSize || it.Size == 0 {
		return g, false
	}
	it.Loc = commitlog.MakeLoc(l.lane, at+commitlog.RecordHeaderSize)
	payload := b[commitlog.RecordHeaderSize : commitlog.RecordHeaderSize+int(it.Size)]
	said, known := when[it.Loc]
	return goodRecord{it, at, payload}, l.r.isIntact(&it, payload, said, known)
}

// isIntact tells by a message itself, and by what index or queue say of its time or
// slot (if known), whether it is what was stored.
func (r *repair) isIntact(it *commitlog.Item, payload []byte, said int64, known bool) bool {
	first, rest, err := message.Split(payload)
	var m message.Message
	if err != nil || len(rest) > 0 || message.Decode(first, &m) != nil || message.CheckBody(&m) != nil {
		return false
	}
	q, ok := r.names[it.Queue]
	key := message.Get(m.Properties, message.PropUniqKey)
	tags := message.Get(m.Properties, message.PropTags)
	if !ok || q.Topic != m.Topic || q.Num != m.QueueID || key == "" || it.Key != uint32(message.Hash(key)) || it.Tag != uint32(message.Hash(tags)) {
		return false
	}
	switch it.Flags {
	case 0:
		return known && said == it.When
	case commitlog.FlagScheduled:
		due := message.Get(m.Properties, message.PropTimerOutMs)
		return known && said == it.When || due == strconv.FormatInt(it.When, 10)
	}
	return false
}

// fitting leaves out records between which there is no room for the headers of the
// frames that the copy needs.
func (c *laneCopy) fitting(good []goodRecord, from, to int64) []goodRecord {
	slices.SortFunc(good, func(a, b goodRecord) int { return cmp.Compare(a.header, b.header) })
	var kept []goodRecord
	pos := from // after the last record that is kept
	for _, g := range good {
		room := g.header - pos
		follows := len(kept) > 0 && room == 0
		if follows || room == commitlog.FrameHeaderSize || room >= 2*commitlog.FrameHeaderSize {
			kept = append(kept, g)
			pos = g.end()
		}
	}
	for len(kept) > 0 && to != kept[len(kept)-1].end() && to-kept[len(kept)-1].end() < commitlog.FrameHeaderSize {
		kept = kept[:len(kept)-1]
	}
	return kept
}

// rewrite fills [from, to) of the copy with frames of the good records, each where
// it was, and frames without records.
func (c *laneCopy) rewrite(from, to int64, good []goodRecord, refs []ref) error {
	pos := from
	for len(good) > 0 {
		n := 1
		for n < len(good) && good[n].header == good[n-1].end() {
			n++
		}
		start := good[0].header - commitlog.FrameHeaderSize
		c.filler(pos, start)
		if err := c.frameOf(start, good[:n], refs); err != nil {
			return err
		}
		pos = good[n-1].end()
		good = good[n:]
	}
	c.filler(pos, to)
	c.index.Add(c.batch, to)
	c.batch = c.batch[:0]
	return c.out.failed
}

// frameOf writes a frame of records that follow each other.
func (c *laneCopy) frameOf(start int64, good []goodRecord, refs []ref) error {
	records := make([]commitlog.Record, len(good))
	for i := range good {
		it := &good[i].item
		records[i] = commitlog.Record{When: it.When, Flags: it.Flags, Queue: it.Queue, Tag: it.Tag, Key: it.Key, Payload: good[i].payload}
	}
	c.out.write(func(b []byte) []byte {
		return commitlog.AppendFrame(b, commitlog.MakeLoc(c.lane, start), c.last, records...)
	})
	for i := range good {
		it := &good[i].item
		at := refOf(refs, it)
		c.r.salvaged.Add(1)
		c.r.lostBytes.Add(-int64(it.Size) - commitlog.RecordHeaderSize)
		c.info.Records++
		if it.Scheduled() {
			c.info.MaxFireMs = max(c.info.MaxFireMs, it.When)
		} else {
			c.info.MaxStoreMs = max(c.info.MaxStoreMs, c.last)
		}
		if err := c.record(it, c.last, at); err != nil {
			return err
		}
	}
	c.info.End = good[len(good)-1].end()
	return nil
}

// refOf is what refers to a record, nil if nothing does.
func refOf(refs []ref, it *commitlog.Item) (at *ref) {
	for i := range refs {
		if refs[i].is(it) {
			at = &refs[i]
		}
	}
	return at
}
