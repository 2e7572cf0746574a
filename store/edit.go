package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/keyindex"
)

// An edit is one atomic change of the catalog: a sequence of operations, each a
// byte that says which, then its fields, little endian. It is the payload of one
// MANIFEST record. Part of the file format; do not change the numbers.
const (
	opSegment     = 1  // lane u8, base, end i64, sealed u8, records, maxStoreMs, maxFireMs, createdMs, lastStoreMs i64
	opSegmentGone = 2  // lane u8, base i64
	opRun         = 3  // lane u8, start, end, count, minFireMs, maxFireMs i64
	opRunGone     = 4  // lane u8, start, end i64
	opIndexed     = 5  // lane u8, upTo i64
	opQueue       = 6  // id u32, num i32, topicLen u16, topic
	opQueueGone   = 7  // id u32
	opQueueExtent = 8  // id u32, min, next i64
	opMark        = 9  // firedMs i64, lanes u8, then per lane: absorbed i64
	opReplay      = 10 // journal i64, lane0 i64
	opNextQueue   = 11 // id u32
	opGivenBack   = 12 // lane u8, base, from, to i64
	opUnits       = 13 // lane u8, base i64, first u32, bytes u32, units as in appendUnits
	opCold        = 16 // base, size, fileSize, records, minFireMs, maxFireMs, deadTo, keepMs i64
	opColdGone    = 17 // base i64
	opCut         = 18 // base, end, cutMs i64
	opKeyRun      = 30 // lane u8, start, end, count i64
	opKeyRunGone  = 31 // lane u8, start, end i64
	opKeysUpTo    = 32 // lane u8, upTo i64; -1: the lane has no key index
	opSplit       = 20 // lightMs i64, queues u32, then per queue: id u32, when, loc u64. Follows the opMark that it completes
	maxTopicBytes = 1<<16 - 1
)

var errEdit = errors.New("malformed manifest edit")

type edit []byte

func (e *edit) ints(vs ...int64) {
	for _, v := range vs {
		*e = binary.LittleEndian.AppendUint64(*e, uint64(v))
	}
}

func (e *edit) segment(lane uint8, s commitlog.SegmentInfo) {
	*e = append(*e, opSegment, lane)
	e.ints(s.Base, s.End)
	sealed := byte(0)
	if s.Sealed {
		sealed = 1
	}
	*e = append(*e, sealed)
	e.ints(s.Records, s.MaxStoreMs, s.MaxFireMs, s.CreatedMs, s.LastStoreMs)
}

func (e *edit) segmentGone(lane uint8, base int64) {
	*e = append(*e, opSegmentGone, lane)
	e.ints(base)
}

// givenBack says that nothing is wanted of r any more, a part of the segment at base.
func (e *edit) givenBack(lane uint8, base int64, r commitlog.Range) {
	*e = append(*e, opGivenBack, lane)
	e.ints(base, r.From, r.To)
}

// units says when the units of the segment at base die, from number first on. Without
// units it says that there are none yet.
func (e *edit) units(lane uint8, base int64, first uint32, us []unit) {
	*e = append(*e, opUnits, lane)
	e.ints(base)
	b := appendUnits(nil, us)
	*e = binary.LittleEndian.AppendUint32(*e, first)
	*e = binary.LittleEndian.AppendUint32(*e, uint32(len(b)))
	*e = append(*e, b...)
}

func (e *edit) run(lane uint8, r delayindex.RunInfo) {
	*e = append(*e, opRun, lane)
	e.ints(r.Start, r.End, r.Count, r.MinFireMs, r.MaxFireMs)
}

func (e *edit) runGone(lane uint8, r delayindex.RunInfo) {
	*e = append(*e, opRunGone, lane)
	e.ints(r.Start, r.End)
}

func (e *edit) indexed(lane uint8, upTo int64) {
	*e = append(*e, opIndexed, lane)
	e.ints(upTo)
}

func (e *edit) keyRun(lane uint8, r keyindex.RunInfo) {
	*e = append(*e, opKeyRun, lane)
	e.ints(r.Start, r.End, r.Count)
}

func (e *edit) keyRunGone(lane uint8, r keyindex.RunInfo) {
	*e = append(*e, opKeyRunGone, lane)
	e.ints(r.Start, r.End)
}

func (e *edit) keysUpTo(lane uint8, upTo int64) {
	*e = append(*e, opKeysUpTo, lane)
	e.ints(upTo)
}

func (e *edit) queue(id uint32, k queueKey) {
	*e = binary.LittleEndian.AppendUint32(append(*e, opQueue), id)
	*e = binary.LittleEndian.AppendUint32(*e, uint32(k.num))
	*e = binary.LittleEndian.AppendUint16(*e, uint16(len(k.topic)))
	*e = append(*e, k.topic...)
}

func (e *edit) queueGone(id uint32) {
	*e = binary.LittleEndian.AppendUint32(append(*e, opQueueGone), id)
}

func (e *edit) queueExtent(id uint32, lo, next int64) {
	*e = binary.LittleEndian.AppendUint32(append(*e, opQueueExtent), id)
	e.ints(lo, next)
}

func (e *edit) nextQueue(id uint32) {
	*e = binary.LittleEndian.AppendUint32(append(*e, opNextQueue), id)
}

func (e *edit) mark(m mark) {
	*e = append(*e, opMark)
	e.ints(m.firedMs)
	*e = append(*e, laneCount)
	e.ints(m.absorbed[:]...)
	if m.split() {
		e.split(m)
	}
}

func (e *edit) split(m mark) {
	*e = append(*e, opSplit)
	e.ints(m.lightMs)
	*e = binary.LittleEndian.AppendUint32(*e, uint32(len(m.since)))
	for queue, p := range m.since {
		*e = binary.LittleEndian.AppendUint32(*e, queue)
		*e = binary.LittleEndian.AppendUint64(*e, p.when)
		*e = binary.LittleEndian.AppendUint64(*e, p.loc)
	}
}

func (e *edit) replay(r replayPoint) {
	*e = append(*e, opReplay)
	e.ints(r.journal, r.lane0)
}

// cold registers a cold file, or its new figures.
func (e *edit) cold(c cold.Info) {
	*e = append(*e, opCold)
	e.ints(c.Base, c.Size, c.FileSize, c.Records, c.MinFireMs, c.MaxFireMs, c.DeadTo, c.KeepMs)
}

func (e *edit) coldGone(base int64) {
	*e = append(*e, opColdGone)
	e.ints(base)
}

// cut says that of the segment [base, end) of the far lane the messages that fire
// at cutMs or later live in the cold file of that base.
func (e *edit) cut(base int64, c segmentCut) {
	*e = append(*e, opCut)
	e.ints(base, c.end, c.ms)
}

// apply carries out the operations of one edit on st. It trusts nothing: a
// short or unknown operation is an error and leaves st partly changed.
func (e edit) apply(st *catalogState) error {
	r := editReader{b: e}
	for len(r.b) > 0 && r.err == nil {
		r.applyOne(st)
	}
	return r.err
}

type editReader struct {
	b   []byte
	err error
}

func (r *editReader) take(n int) []byte {
	if len(r.b) < n {
		r.b, r.err = nil, fmt.Errorf("%w: operation cut short", errEdit)
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *editReader) u8() uint8   { return r.take(1)[0] }
func (r *editReader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *editReader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *editReader) i64() int64  { return int64(binary.LittleEndian.Uint64(r.take(8))) }

func (r *editReader) applyOne(st *catalogState) {
	switch op := r.u8(); op {
	case opSegment:
		lane := r.u8()
		st.putSegment(lane, r.segment())
	case opSegmentGone:
		lane, base := r.u8(), r.i64()
		st.dropSegment(lane, base)
	case opGivenBack:
		r.applyGivenBack(st)
	case opUnits:
		r.applyUnits(st)
	case opRun:
		lane := r.u8()
		st.putRun(lane, delayindex.RunInfo{Start: r.i64(), End: r.i64(), Count: r.i64(), MinFireMs: r.i64(), MaxFireMs: r.i64()})
	case opRunGone:
		lane := r.u8()
		st.dropRun(lane, r.i64(), r.i64())
	case opIndexed:
		lane := r.u8()
		st.indexed[lane] = r.i64()
	case opQueue:
		r.applyQueue(st)
	case opQueueGone:
		delete(st.queues, r.u32())
	case opQueueExtent:
		id, lo, next := r.u32(), r.i64(), r.i64()
		if q, ok := st.queues[id]; ok {
			q.min, q.next = lo, next
			st.queues[id] = q
		}
	case opMark:
		r.applyMark(st)
	case opSplit:
		r.applySplit(st)
	case opReplay:
		st.replay = replayPoint{journal: r.i64(), lane0: r.i64()}
	case opNextQueue:
		st.nextQueue = max(st.nextQueue, r.u32())
	case opKeyRun:
		lane := r.u8()
		st.putKeyRun(lane, keyindex.RunInfo{Start: r.i64(), End: r.i64(), Count: r.i64()})
	case opKeyRunGone:
		lane := r.u8()
		st.dropKeyRun(lane, r.i64(), r.i64())
	case opKeysUpTo:
		lane := r.u8()
		st.setKeysUpTo(lane, r.i64())
	case opCold:
		c := r.coldInfo()
		st.cold[c.Base] = c
	case opColdGone:
		delete(st.cold, r.i64())
	case opCut:
		base := r.i64()
		st.putCut(base, segmentCut{end: r.i64(), ms: r.i64()})
	default:
		r.err = fmt.Errorf("operation %d of a manifest edit, which this release does not know (%w): use the release that wrote it", op, commitlog.ErrVersion)
	}
}

func (r *editReader) segment() commitlog.SegmentInfo {
	s := commitlog.SegmentInfo{Base: r.i64(), End: r.i64()}
	s.Sealed = r.u8() == 1
	s.Records, s.MaxStoreMs, s.MaxFireMs = r.i64(), r.i64(), r.i64()
	s.CreatedMs, s.LastStoreMs = r.i64(), r.i64()
	return s
}

func (r *editReader) applyGivenBack(st *catalogState) {
	lane, base := r.u8(), r.i64()
	given := commitlog.Range{From: r.i64(), To: r.i64()}
	switch {
	case r.err != nil:
	case base < 0 || given.From < base || given.From >= given.To:
		r.err = fmt.Errorf("%w: range [%d, %d) of the segment at %d", errEdit, given.From, given.To, base)
	default:
		st.putGiven(lane, base, given)
	}
}

func (r *editReader) applyUnits(st *catalogState) {
	lane, base, first := r.u8(), r.i64(), r.u32()
	n := r.u32()
	if int64(n) > int64(len(r.b)) {
		r.b, r.err = nil, fmt.Errorf("%w: operation cut short", errEdit)
		return
	}
	us, err := parseUnits(r.take(int(n)))
	if st.single {
		return
	}
	if err == nil {
		err = st.deathsOf(lane).register(base, first, us)
	}
	if err != nil {
		r.err = fmt.Errorf("%w: %w of the segment at %d", errEdit, err, base)
	}
}

func (r *editReader) coldInfo() cold.Info {
	return cold.Info{
		Base: r.i64(), Size: r.i64(), FileSize: r.i64(), Records: r.i64(),
		MinFireMs: r.i64(), MaxFireMs: r.i64(), DeadTo: r.i64(), KeepMs: r.i64(),
	}
}

func (r *editReader) applyQueue(st *catalogState) {
	id := r.u32()
	num := int32(r.u32())
	topic := string(r.take(int(r.u16())))
	if r.err == nil {
		st.queues[id] = queueState{key: queueKey{topic, num}}
		st.nextQueue = max(st.nextQueue, id+1)
	}
}

func (r *editReader) applyMark(st *catalogState) {
	m := mark{firedMs: r.i64()}
	n := int(r.u8())
	if n > laneCount {
		r.err = fmt.Errorf("%w: mark of %d lanes, this version knows %d", errEdit, n, laneCount)
		return
	}
	for i := range n {
		m.absorbed[i] = r.i64()
	}
	st.mark = m
}

func (r *editReader) applySplit(st *catalogState) {
	const perQueue = 20
	m := &st.mark
	lightMs, n := r.i64(), int64(r.u32())
	if int64(len(r.b)) < n*perQueue {
		r.b, r.err = nil, fmt.Errorf("%w: operation cut short", errEdit)
		return
	}
	if n == 0 {
		return // nobody waits
	}
	m.lightMs, m.since = max(lightMs, m.firedMs), make(map[uint32]position, n)
	for range n {
		queue := r.u32()
		m.since[queue] = position{when: binary.LittleEndian.Uint64(r.take(8)), loc: binary.LittleEndian.Uint64(r.take(8))}
	}
}
