package tools

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// failer is what building a store needs of *testing.T and *testscript.TestScript.
type failer interface {
	require.TestingT
}

// fixture writes a store byte by byte, so that every offset and time in it is
// known. It is small: a queue of orders with two ordinary messages and a fired
// one, and pending ones in lanes 0 and 1.
type fixture struct {
	t     failer
	dir   string
	m     store.Manifest
	locs  map[string]commitlog.Loc // by UNIQ_KEY
	lanes map[uint8][]byte
}

const (
	fixtureSegment = 64 << 10
	fixtureQueue   = 1 // id of queue 0 of orders
)

var fixtureStart = time.Date(2026, 11, 23, 6, 0, 0, 0, time.UTC).UnixMilli()

func newFixture(t failer, dir string) *fixture {
	f := &fixture{t: t, dir: dir, locs: map[string]commitlog.Loc{}, lanes: map[uint8][]byte{}}
	f.m = store.Manifest{
		Segments: map[uint8][]commitlog.SegmentInfo{}, Runs: map[uint8][]delayindex.RunInfo{}, IndexedUpTo: map[uint8]int64{},
		Queues:  []store.ManifestQueue{{ID: fixtureQueue, Topic: "orders", Num: 0, Min: 0, Next: 3}},
		FiredMs: fixtureStart + 60_000, Absorbed: make([]int64, 4),
	}
	return f
}

// record is a stored message; when is a slot, or a fire time if scheduled.
func (f *fixture) record(key string, scheduled bool, when int64) commitlog.Record {
	return f.recordOf(key, []byte(`{"order":"`+key+`"}`), scheduled, when)
}

func (f *fixture) recordOf(key string, body []byte, scheduled bool, when int64) commitlog.Record {
	props := message.AppendProperty(nil, message.PropKeys, "k-"+key)
	props = message.AppendProperty(props, message.PropTags, "t1")
	props = message.AppendProperty(props, message.PropUniqKey, key)
	payload, err := message.Append(nil, &message.Message{
		Topic: "orders", QueueID: 0, BornMs: fixtureStart, StoreMs: fixtureStart, Properties: string(props),
		BornHost: netip.MustParseAddrPort("127.0.0.1:42000"), StoreHost: netip.MustParseAddrPort("127.0.0.1:10911"),
		Body: body,
	})
	require.NoError(f.t, err)
	r := commitlog.Record{When: when, Queue: fixtureQueue, Tag: uint32(message.Hash("t1")), Key: uint32(message.Hash(key)), Payload: payload}
	if scheduled {
		r.Flags = commitlog.FlagScheduled
	}
	return r
}

// frame appends a frame of records to a lane.
func (f *fixture) frame(lane uint8, storeMs int64, keys []string, records ...commitlog.Record) {
	b := f.lanes[lane]
	loc := commitlog.MakeLoc(lane, int64(len(b)))
	at := loc + commitlog.FrameHeaderSize
	for i, r := range records {
		at += commitlog.RecordHeaderSize
		f.locs[keys[i]] = at
		at += commitlog.Loc(len(r.Payload))
	}
	f.lanes[lane] = commitlog.AppendFrame(b, loc, storeMs, records...)
}

func (f *fixture) write(path string, b []byte) {
	path = filepath.Join(f.dir, path)
	require.NoError(f.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(f.t, os.WriteFile(path, b, 0o644))
}

// writeLane writes the one segment of a lane.
func (f *fixture) writeLane(lane uint8, records, maxFireMs int64) {
	b := f.lanes[lane]
	end := int64(len(b))
	f.write(segmentPath(lane, 0), append(b, make([]byte, fixtureSegment-len(b))...))
	f.m.Segments[lane] = []commitlog.SegmentInfo{{
		End: end, Records: records, MaxStoreMs: fixtureStart + 2, MaxFireMs: maxFireMs, CreatedMs: fixtureStart, LastStoreMs: fixtureStart + 2,
	}}
	if int(lane) < len(f.m.Absorbed) {
		f.m.Absorbed[lane] = end
		f.m.IndexedUpTo[lane] = 0
	}
}

// writeRun writes the run of what is pending in a lane.
func (f *fixture) writeRun(lane uint8, entries []delayindex.Entry) {
	dir := filepath.Join(f.dir, store.IndexDir, strconv.Itoa(int(lane)))
	x, err := delayindex.Open(dir, nil, 0, &delayindex.Options{Lane: lane})
	require.NoError(f.t, err)
	end := int64(len(f.lanes[lane]))
	x.Add(entries, end)
	x.Freeze()
	ri, wrote, err := x.Flush(nil)
	require.NoError(f.t, err)
	require.True(f.t, wrote)
	require.NoError(f.t, x.Close())
	f.m.Runs[lane] = []delayindex.RunInfo{ri}
	f.m.IndexedUpTo[lane] = end
}

func (f *fixture) entry(key string, r *commitlog.Record) delayindex.Entry {
	return delayindex.Entry{
		When: delayindex.MakeWhen(r.When, 0), Loc: uint64(f.locs[key]), Size: uint32(len(r.Payload)), Queue: r.Queue, Tag: r.Tag, Key: r.Key,
	}
}

// makeFixture writes the whole store.
func makeFixture(t failer, dir string) *fixture { return fixtureWith(t, dir, (*fixture).writeKeys) }

// fixtureWith writes the whole store, and what more writes before the MANIFEST.
func fixtureWith(t failer, dir string, more func(*fixture)) *fixture {
	f := newFixture(t, dir)
	ord1, ord2 := f.record("ORD1", false, 0), f.record("ORD2", false, 2)
	fired := f.record("FIRED", true, fixtureStart+10_000)
	soon := f.record("SOON", true, fixtureStart+3600_000)
	f.frame(0, fixtureStart, []string{"ORD1", "FIRED"}, ord1, fired)
	f.frame(0, fixtureStart+1, []string{"ORD2"}, ord2)
	f.frame(0, fixtureStart+2, []string{"SOON"}, soon)
	f.writeLane(0, 4, soon.When)

	var entries []delayindex.Entry
	for i := range 3 {
		key := fmt.Sprintf("DAY%d", i)
		r := f.record(key, true, fixtureStart+int64(10+i)*3600_000)
		f.frame(1, fixtureStart+int64(i), []string{key}, r)
		entries = append(entries, f.entry(key, &r))
	}
	f.writeLane(1, 3, fixtureStart+12*3600_000)
	f.writeRun(1, entries)
	f.writeJournal(&fired)
	f.writeQueue(&ord1, &fired, &ord2)
	f.writeConfig()
	f.m.ReplayLane0 = int64(len(f.lanes[0]))
	more(f)
	require.NoError(t, store.WriteManifest(dir, &f.m))
	return f
}

// writeJournal writes the journal of the one firing: slot 1 of the queue.
func (f *fixture) writeJournal(fired *commitlog.Record) {
	b := store.AppendFirings(nil, []store.Firing{{
		Loc: f.locs["FIRED"], Slot: 1, Queue: fixtureQueue, Size: uint32(len(fired.Payload)), Tag: fired.Tag,
	}})
	f.lanes[store.JournalLane] = commitlog.AppendRawFrame(nil, commitlog.MakeLoc(store.JournalLane, 0), fixtureStart+10_000, 1, b)
	f.writeLane(store.JournalLane, 1, 0)
}

// writeKeys writes the key index: all of lane 1, and of lane 0 all but the last message.
func (f *fixture) writeKeys() {
	f.m.KeyRuns, f.m.KeysUpTo = map[uint8][]keyindex.RunInfo{}, map[uint8]int64{}
	f.writeKeyRun(0, int64(f.locs["SOON"]-commitlog.FrameHeaderSize-commitlog.RecordHeaderSize), "ORD1", "FIRED", "ORD2")
	f.writeKeyRun(1, int64(len(f.lanes[1])), "DAY0", "DAY1", "DAY2")
}

// writeKeyRun writes a run of a lane for its bytes before end.
func (f *fixture) writeKeyRun(lane uint8, end int64, keys ...string) {
	var entries []keyindex.Entry
	for _, key := range keys {
		entries = append(entries, f.keysAt(key)...)
	}
	f.writeKeyEntries(lane, end, entries)
}

// keysAt are the entries of a message.
func (f *fixture) keysAt(key string) (out []keyindex.Entry) {
	for _, k := range []string{key, "k-" + key} {
		out = append(out, keyindex.Entry{Hash: broker.KeyHash("orders", k), Loc: uint64(f.locs[key])})
	}
	return out
}

func (f *fixture) writeKeyEntries(lane uint8, end int64, entries []keyindex.Entry) {
	x, _, err := keyindex.Open(filepath.Join(f.dir, store.KeysDir, strconv.Itoa(int(lane))), nil, 0, &keyindex.Options{Lane: lane})
	require.NoError(f.t, err)
	x.Add(entries, end)
	require.True(f.t, x.Freeze())
	ri, wrote, err := x.Flush()
	require.NoError(f.t, err)
	require.True(f.t, wrote)
	require.NoError(f.t, x.Close())
	f.m.KeyRuns[lane], f.m.KeysUpTo[lane] = []keyindex.RunInfo{ri}, end
}

func (f *fixture) writeQueue(ord1, fired, ord2 *commitlog.Record) {
	set, err := consumequeue.Open(filepath.Join(f.dir, store.ConsumeQueueDir), &consumequeue.Options{FileEntries: 64})
	require.NoError(f.t, err)
	q, err := set.Queue("orders", 0, 0, 0)
	require.NoError(f.t, err)
	for slot, e := range []consumequeue.Entry{
		{Loc: uint64(f.locs["ORD1"]), Size: uint32(len(ord1.Payload)), Tag: ord1.Tag, DeliverMs: fixtureStart},
		{Loc: uint64(f.locs["FIRED"]), Size: uint32(len(fired.Payload)), Flags: consumequeue.FlagScheduled, Tag: fired.Tag, DeliverMs: fixtureStart + 10_000},
		{Loc: uint64(f.locs["ORD2"]), Size: uint32(len(ord2.Payload)), Tag: ord2.Tag, DeliverMs: fixtureStart + 1},
	} {
		require.NoError(f.t, q.Restore(int64(slot), e))
	}
	_, err = q.Flush()
	require.NoError(f.t, err)
	require.NoError(f.t, set.Close())
}

func (f *fixture) writeConfig() {
	offsets, err := json.Marshal(map[string]any{"offsetTable": map[string]any{"orders@billing": map[string]int64{"0": 1}}})
	require.NoError(f.t, err)
	f.write("config/offsets.json", offsets)
}

// fixtureOptions open the fixture at the moment when it was left.
func fixtureOptions() *store.Options {
	return &store.Options{
		SegmentSize: fixtureSegment, DelaySegmentSize: fixtureSegment, JournalSegmentSize: fixtureSegment, FireBatch: 1024,
		Clock: store.NewManualClock(time.UnixMilli(fixtureStart + 60_000)),
	}
}

func TestFixtureIsAStoreThatOpens(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	s, err := store.Open(dir, fixtureOptions())
	require.NoError(t, err)
	defer s.Close()
	q := s.LookupQueue("orders", 0)
	require.NotNil(t, q)
	var got [4]store.Delivery
	n, err := q.Read(0, got[:])
	require.NoError(t, err)
	require.Equal(t, 3, n)
}
