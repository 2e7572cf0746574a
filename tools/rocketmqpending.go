package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// What waits in a store of Apache RocketMQ is decided from its commit log. A
// message that waits stands in one of two topics, with its real topic and queue
// among its properties:
//
//	rmq_sys_wheel_timer   exact times: TIMER_OUT_MS, rounded down to the timer's step
//	SCHEDULE_TOPIC_XXXX   delay levels: queue level-1, due at its store time + the level
//
// When it is due the broker appends it once more, to its real topic, with the same
// id and those properties. So a message waits if no such copy stands in the log
// behind it, and the files of the timer wheel need not be read. Messages that the
// timer wrote again on the way count once. A message that cancels another one
// carries TIMER_DEL_UNIQKEY, and the same TIMER_OUT_MS.
//
// config/delayOffset.json says how far each delay level was delivered. It may be
// some seconds old, so what it calls delivered is, and of the rest the copies are
// left out. In doubt a message is imported: it comes twice rather than never.

const (
	rocketmqTimerTopic = "rmq_sys_wheel_timer"
	rocketmqLevelTopic = "SCHEDULE_TOPIC_XXXX"
	// rocketmqStep is the longest step of the timer, ms.
	rocketmqStep = 1000
)

// rocketmqKey tells the messages that wait apart: a hash, of 128 bits so that no two
// have the same, over id, real topic, when it is due (TIMER_OUT_MS, or minus the
// delay level), born time and reconsume times. All of these a copy has too. A message
// that is retried keeps its id, and one that is sent twice; what they were born at
// or their rounds differ.
type rocketmqKey [2]uint64

// rocketmqWaiting is what is remembered of one: 80 bytes or so with the key and the
// map around it, so 10 million take a bit less than a GiB.
type rocketmqWaiting struct {
	offset int64 // in the commit log
	fireMs int64
	topic  int32 // index into topics
}

// rocketmqStore is a store as far as the import looks at it.
type rocketmqStore struct {
	log       *rocketmqLog
	configs   map[string]client.TopicConfig // of config/topics.json
	levels    []time.Duration
	delivered map[int]int64 // by level, the queue offset up to which it was delivered

	seeds     [2]maphash.Seed
	waiting   map[rocketmqKey]rocketmqWaiting
	topics    []string // real ones
	topicIDs  map[string]int32
	cancelled map[string]bool // see cancelKey
	seen      rocketmqCounts
}

// rocketmqCounts says what was found in the log.
type rocketmqCounts struct {
	messages, scheduled, delivered, cancelled, damaged int64
}

// openRocketmqStore reads the small files of a store. dir is what
// storePathRootDir says, with commitlog and config in it.
func openRocketmqStore(dir, levels string) (*rocketmqStore, error) {
	log, err := openRocketmqLog(filepath.Join(dir, "commitlog"))
	if err != nil {
		return nil, err
	}
	s := &rocketmqStore{
		log: log, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		waiting: map[rocketmqKey]rocketmqWaiting{}, topicIDs: map[string]int32{}, cancelled: map[string]bool{},
	}
	if s.levels, err = parseLevels(levels); err != nil {
		return nil, err
	}
	if s.configs, err = readTopics(filepath.Join(dir, "config", "topics.json")); err != nil {
		return nil, err
	}
	s.delivered, err = readDelayOffsets(filepath.Join(dir, "config", "delayOffset.json"))
	return s, err
}

// readTopics reads topics.json; none when there is no such file.
func readTopics(path string) (map[string]client.TopicConfig, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Table map[string]client.TopicConfig `json:"topicConfigTable"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return file.Table, nil
}

// parseLevels reads RocketMQ's messageDelayLevel.
func parseLevels(text string) ([]time.Duration, error) {
	var levels []time.Duration
	for _, word := range strings.Fields(text) {
		d, err := parseDuration(word)
		if err != nil {
			return nil, err
		}
		levels = append(levels, d)
	}
	if len(levels) == 0 {
		return nil, usagef("--levels is empty: give messageDelayLevel of the broker's configuration")
	}
	return levels, nil
}

// bareKey finds the keys of delayOffset.json, which stand without quotes.
var bareKey = regexp.MustCompile(`([{,]\s*)(\d+)(\s*:)`)

// readDelayOffsets reads delayOffset.json; none when there is no such file.
func readDelayOffsets(path string) (map[int]int64, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var file struct {
		Table map[string]int64 `json:"offsetTable"`
	}
	if err := json.Unmarshal(bareKey.ReplaceAll(b, []byte(`$1"$2"$3`)), &file); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	offsets := map[int]int64{}
	for level, offset := range file.Table {
		n, err := strconv.Atoi(level)
		if err != nil {
			return nil, fmt.Errorf("read %s: %q is no delay level", path, level)
		}
		offsets[n] = offset
	}
	return offsets, nil
}

// scan goes through the whole log and finds what waits.
func (s *rocketmqStore) scan() error {
	s.log.damaged = func(string, int64, int64) { s.seen.damaged++ }
	defer func() { s.log.damaged = func(string, int64, int64) {} }() // it is counted once
	for m, err := range s.log.each() {
		if err != nil {
			return err
		}
		s.seen.messages++
		switch m.Topic {
		case rocketmqTimerTopic:
			s.timed(&m)
		case rocketmqLevelTopic:
			s.levelled(&m)
		default:
			s.came(&m)
		}
	}
	if len(s.cancelled) == 0 {
		return nil
	}
	return s.dropCancelled()
}

// key is the key of a message; when is TIMER_OUT_MS, or minus the delay level.
func (s *rocketmqStore) key(m *message.Message, when int64) (k rocketmqKey) {
	id := message.Get(m.Properties, message.PropUniqKey)
	if id == "" { // no copy can be told from it: it is taken for one that waits
		id = "@" + strconv.FormatInt(m.PhysicalOffset, 10)
	}
	for i, seed := range s.seeds {
		var h maphash.Hash
		h.SetSeed(seed)
		fmt.Fprintf(&h, "%s %s %d %d %d", id, message.Get(m.Properties, message.PropRealTopic), when, m.BornMs, m.ReconsumeTimes)
		k[i] = h.Sum64()
	}
	return k
}

// wait notes that a message waits. Of one that was written again the last copy
// counts: files go from the beginning of the log.
func (s *rocketmqStore) wait(m *message.Message, when, fireMs int64) {
	key := s.key(m, when)
	if _, again := s.waiting[key]; !again {
		s.seen.scheduled++
	}
	s.waiting[key] = rocketmqWaiting{m.PhysicalOffset, fireMs, s.topicID(message.Get(m.Properties, message.PropRealTopic))}
}

func (s *rocketmqStore) topicID(topic string) int32 {
	id, ok := s.topicIDs[topic]
	if !ok {
		id = int32(len(s.topics))
		topic = strings.Clone(topic)
		s.topics = append(s.topics, topic)
		s.topicIDs[topic] = id
	}
	return id
}

// timed takes a message of the timer's topic.
func (s *rocketmqStore) timed(m *message.Message) {
	outMs, ok := outMsOf(m)
	if !ok {
		return
	}
	if victim := message.Get(m.Properties, message.PropTimerDelUniqKey); victim != "" {
		s.cancelled[cancelKey(victim, outMs)] = true
		return
	}
	s.wait(m, outMs, timedFireMs(m, outMs))
}

func outMsOf(m *message.Message) (int64, bool) {
	ms, err := strconv.ParseInt(message.Get(m.Properties, message.PropTimerOutMs), 10, 64)
	return ms, err == nil && ms > 0
}

// cancelKey is what a cancelling message names: a message and its step of time.
func cancelKey(victim string, outMs int64) string { return victim + " " + strconv.FormatInt(outMs, 10) }

// dropCancelled reads what waits once more and drops what was cancelled.
func (s *rocketmqStore) dropCancelled() error {
	s.log.damaged = func(string, int64, int64) {} // it is counted once
	for m, err := range s.log.each() {
		if err != nil {
			return err
		}
		outMs, ok := outMsOf(&m)
		if m.Topic != rocketmqTimerTopic || !ok {
			continue
		}
		id := message.Get(m.Properties, message.PropUniqKey)
		key := s.key(&m, outMs)
		if _, waits := s.waiting[key]; waits && (s.cancelled[cancelKey(id, outMs)] || s.cancelled[cancelKey(message.Get(m.Properties, message.PropRealTopic)+"+"+id, outMs)]) {
			delete(s.waiting, key)
			s.seen.cancelled++
		}
	}
	return nil
}

// timedFireMs is when the message is due: as it was asked for if that can be told,
// else a step behind the rounded time, so that it is not early.
func timedFireMs(m *message.Message, outMs int64) int64 {
	if message.Get(m.Properties, message.PropTimerDelaySec) == "" && message.Get(m.Properties, message.PropTimerDelayMs) == "" {
		at, err := strconv.ParseInt(message.Get(m.Properties, message.PropTimerDeliverMs), 10, 64)
		if err == nil && at >= outMs && at <= outMs+rocketmqStep {
			return at
		}
	}
	return outMs + rocketmqStep
}

// levelled takes a message of the delay levels' topic.
func (s *rocketmqStore) levelled(m *message.Message) {
	level := int(m.QueueID) + 1
	if level < 1 || level > len(s.levels) {
		return
	}
	if m.QueueOffset < s.delivered[level] {
		s.seen.scheduled++
		s.seen.delivered++
		return
	}
	s.wait(m, -int64(level), m.StoreMs+s.levels[level-1].Milliseconds())
}

// came takes a message of any other topic: it may be the copy of one that waited.
func (s *rocketmqStore) came(m *message.Message) {
	if message.Get(m.Properties, message.PropRealTopic) != m.Topic {
		return
	}
	var key rocketmqKey
	if outMs, ok := outMsOf(m); ok && message.Get(m.Properties, message.PropTimerDequeueMs) != "" {
		key = s.key(m, outMs)
	} else {
		level, err := strconv.Atoi(message.Get(m.Properties, message.PropDelayLevel))
		if err != nil || level < 1 {
			return
		}
		key = s.key(m, -int64(min(level, len(s.levels))))
	}
	if _, ok := s.waiting[key]; ok {
		delete(s.waiting, key)
		s.seen.delivered++
	}
}

// restored is a message that waits as its producer sent it: with its real topic
// and queue, and without what the broker noted.
func restored(m *message.Message) (*message.Message, error) {
	queue, err := strconv.ParseInt(message.Get(m.Properties, message.PropRealQueueID), 10, 32)
	topic := message.Get(m.Properties, message.PropRealTopic)
	if err != nil || topic == "" {
		return nil, errors.New("it does not say where it is to go")
	}
	if err := message.CheckBody(m); err != nil {
		return nil, err
	}
	out := *m
	out.Topic, out.QueueID = topic, int32(queue)
	out.Properties = message.Delete(m.Properties, message.PropRealTopic, message.PropRealQueueID, message.PropTimerOutMs,
		message.PropTimerEnqueueMs, message.PropTimerDequeueMs, message.PropTimerRollTimes)
	return &out, nil
}
