package tools

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
)

// rocketmqFixture writes a store as RocketMQ does.
type rocketmqFixture struct {
	t        failer
	dir      string
	fileSize int
	log      []byte
	slots    map[string]int64 // by topic and queue, the next offset
}

func newRocketmqFixture(t *testing.T) *rocketmqFixture {
	return rocketmqFixtureAt(t, t.TempDir())
}

func rocketmqFixtureAt(t failer, dir string) *rocketmqFixture {
	return &rocketmqFixture{t: t, dir: dir, fileSize: 4096, slots: map[string]int64{}}
}

// put appends a message; properties are names and values in turn.
func (f *rocketmqFixture) put(topic string, queue int32, body string, storeMs int64, properties ...string) {
	m := message.Message{Topic: topic, QueueID: queue, Body: []byte(body), BornMs: 1000, StoreMs: storeMs}
	var props []byte
	for i := 0; i < len(properties); i += 2 {
		props = message.AppendProperty(props, properties[i], properties[i+1])
	}
	m.Properties = string(props)
	if room := f.fileSize - len(f.log)%f.fileSize; message.Size(&m)+8 > room {
		filler := make([]byte, room)
		binary.BigEndian.PutUint32(filler, uint32(room))
		binary.BigEndian.PutUint32(filler[4:], rocketmqFiller)
		f.log = append(f.log, filler...)
	}
	slot := topic + strconv.Itoa(int(queue))
	m.QueueOffset, m.PhysicalOffset = f.slots[slot], int64(len(f.log))
	f.slots[slot]++
	var err error
	f.log, err = message.Append(f.log, &m)
	require.NoError(f.t, err)
}

// timer appends a message that waits for due, to topic, with the broker's notes.
func (f *rocketmqFixture) timer(topic, id, body string, due int64, more ...string) {
	f.put(rocketmqTimerTopic, 0, body, 2000, append([]string{
		"UNIQ_KEY", id, "TIMER_DELIVER_MS", fmt.Sprint(due), "TIMER_OUT_MS", fmt.Sprint(due / 1000 * 1000), "REAL_TOPIC", topic, "REAL_QID", "2",
	}, more...)...)
}

// write writes the files. offsets are what delayOffset.json says; nil leaves it out.
func (f *rocketmqFixture) write(offsets map[int]int64) string {
	dir := filepath.Join(f.dir, "commitlog")
	require.NoError(f.t, os.MkdirAll(dir, 0o755))
	require.NoError(f.t, os.MkdirAll(filepath.Join(f.dir, "config"), 0o755))
	for at := 0; at < len(f.log); at += f.fileSize {
		b := make([]byte, f.fileSize)
		copy(b, f.log[at:])
		require.NoError(f.t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d", at)), b, 0o644))
	}
	if offsets != nil {
		var table []string
		for level, n := range offsets {
			table = append(table, fmt.Sprintf("\t\t%d:%d", level, n))
		}
		text := "{\n\t\"dataVersion\":{\"counter\":1},\n\t\"offsetTable\":{" + strings.Join(table, ",\n") + "\n\t}\n}"
		require.NoError(f.t, os.WriteFile(filepath.Join(f.dir, "config", "delayOffset.json"), []byte(text), 0o644))
	}
	return f.dir
}

// found is what waits, by id.
func scanned(t *testing.T, dir string) (map[string]int64, *rocketmqStore) {
	t.Helper()
	s, err := openRocketmqStore(dir, defaultLevels)
	require.NoError(t, err)
	require.NoError(t, s.scan())
	due := map[int64]int64{}
	for _, w := range s.waiting {
		due[w.offset] = w.fireMs
	}
	out := map[string]int64{}
	for m, err := range s.log.each() {
		require.NoError(t, err)
		if at, ok := due[m.PhysicalOffset]; ok {
			r, err := restored(&m)
			require.NoError(t, err)
			out[r.Topic+" "+string(r.Body)] = at
		}
	}
	return out, s
}

const farMs = int64(4_000_000_000_123)

func TestWhatWaitsInARocketmqStoreIsFound(t *testing.T) {
	f := newRocketmqFixture(t)
	for i := range 20 { // over several files
		f.put("orders", 0, strings.Repeat("x", 500), 1000, "UNIQ_KEY", fmt.Sprint("N", i))
	}
	f.timer("orders", "A", "waits", farMs)
	f.timer("orders", "B", "came", farMs)
	f.put("orders", 2, "came", 3000, "UNIQ_KEY", "B", "TIMER_OUT_MS", "4000000000000", "TIMER_DEQUEUE_MS", "9", "REAL_TOPIC", "orders", "REAL_QID", "2")
	f.timer("orders", "C", "rolled", farMs+5)
	f.timer("orders", "C", "rolled", farMs+5, "TIMER_ROLL_TIMES", "1")
	f.timer("orders", "D", "cancelled", farMs)
	f.timer("orders", "x", "0", farMs, "TIMER_DEL_UNIQKEY", "orders+D")
	f.timer("orders", "E", "not cancelled", farMs)
	f.timer("orders", "x", "0", farMs+5000, "TIMER_DEL_UNIQKEY", "orders+E")
	f.put(rocketmqTimerTopic, 0, "relative", 2000, "UNIQ_KEY", "F", "TIMER_DELAY_MS", "5000", "TIMER_OUT_MS", "4000000000000", "REAL_TOPIC", "mails", "REAL_QID", "0")
	f.timer("orders", "", "no id", farMs)

	level := func(id, body string, level int, topic string) {
		f.put(rocketmqLevelTopic, int32(level-1), body, 5000, "UNIQ_KEY", id, "DELAY", strconv.Itoa(level), "REAL_TOPIC", topic, "REAL_QID", "1")
	}
	level("G", "delivered by the file", 2, "orders")
	level("H", "delivered by its copy", 2, "orders")
	f.put("orders", 1, "delivered by its copy", 10_000, "UNIQ_KEY", "H", "DELAY", "2", "REAL_TOPIC", "orders", "REAL_QID", "1")
	level("I", "level waits", 2, "orders")
	level("J", "again", 18, "%RETRY%g")

	got, s := scanned(t, f.write(map[int]int64{2: 1}))
	require.Equal(t, map[string]int64{
		"orders waits": farMs, "orders rolled": farMs + 5, "orders not cancelled": farMs, "orders no id": farMs,
		"mails relative": 4_000_000_001_000, "orders level waits": 10_000, "%RETRY%g again": 7_205_000,
	}, got)
	require.Equal(t, rocketmqCounts{messages: 36, scheduled: 11, delivered: 3, cancelled: 1}, s.seen)
	require.Greater(t, len(s.log.files), 3)
}

func TestARocketmqStoreIsImportedWhole(t *testing.T) {
	f := newRocketmqFixture(t)
	f.timer("orders", "A", "timed", testNow.UnixMilli()+400*86_400_000, "KEYS", "k")
	f.timer("orders", "B", "far", testNow.UnixMilli()+3_600_000, "KEYS", "k1 k2", "TAGS", "x", "mine", "yes")
	f.put(rocketmqLevelTopic, 17, "level", testNow.UnixMilli(), "UNIQ_KEY", "C", "DELAY", "18", "REAL_TOPIC", "%RETRY%g", "REAL_QID", "0")
	src := f.write(nil)
	code, out, errs := run(t, "import-rocketmq", src, "--dry-run", "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, "orders,2,")
	require.Contains(t, out, "%RETRY%g,1,")
	require.Contains(t, errs, "3 messages in the commit log: 3 were scheduled, 0 of them delivered, 0 cancelled, 3 wait")
	code, _, errs = run(t, "import-rocketmq", filepath.Join(src, "config"), "--dry-run")
	require.Equal(t, ExitIO, code)
	require.Contains(t, errs, "next: name the directory that storePathRootDir")
	code, _, errs = run(t, "import-rocketmq", src)
	require.Equal(t, ExitUsage, code)
	require.Contains(t, errs, "either --store DIR or --online")
}

func TestDamageInARocketmqLogCostsOnlyItself(t *testing.T) {
	f := newRocketmqFixture(t)
	for i := range 30 {
		f.timer("orders", fmt.Sprint("ID", i), fmt.Sprint("body", i), farMs+int64(i))
	}
	dir := f.write(nil)
	whole, _ := scanned(t, dir)
	require.Len(t, whole, 30)
	path := filepath.Join(dir, "commitlog", fmt.Sprintf("%020d", 4096))
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	for _, damage := range []func(b []byte){
		func(b []byte) { b[4] ^= 0xff },                                // a magic
		func(b []byte) { binary.BigEndian.PutUint32(b, 1<<31) },        // a size
		func(b []byte) { b[35] ^= 1 },                                  // an offset: a stale message
		func(b []byte) { copy(b, bytes.Repeat([]byte{0x11}, 40)) },     // rubbish
		func(b []byte) { binary.BigEndian.PutUint32(b[84:], 1<<30-1) }, // a body's length
	} {
		b := bytes.Clone(good)
		damage(b)
		require.NoError(t, os.WriteFile(path, b, 0o644))
		got, s := scanned(t, dir)
		require.Len(t, got, 29)
		require.EqualValues(t, 1, s.seen.damaged)
	}
	code, _, errs := run(t, "import-rocketmq", dir, "--dry-run")
	require.Equal(t, ExitFindings, code)
	require.Contains(t, errs, "1 stretches of the commit log are no messages")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config", "delayOffset.json"), []byte("{"), 0o644))
	code, _, errs = run(t, "import-rocketmq", dir, "--dry-run")
	require.Equal(t, ExitIO, code)
	require.Contains(t, errs, "delayOffset.json")
}

func FuzzRocketmqLog(f *testing.F) {
	m, _ := message.Append(nil, &message.Message{Topic: rocketmqTimerTopic, Body: []byte("b"), Properties: "TIMER_OUT_MS\x01999\x02REAL_TOPIC\x01t\x02REAL_QID\x010\x02"})
	f.Add(m)
	f.Add(append(bytes.Clone(m), 0, 0, 0, 9, 0xcb, 0xd4, 0x31, 0x94))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		require.NoError(t, os.Mkdir(filepath.Join(dir, "commitlog"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "commitlog", strings.Repeat("0", 20)), b, 0o644))
		s, err := openRocketmqStore(dir, defaultLevels)
		require.NoError(t, err)
		require.NoError(t, s.scan())
		for m := range s.log.each() {
			_, _ = restored(&m)
		}
	})
}
