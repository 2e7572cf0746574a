package broker

import (
	"strconv"
	"strings"

	"github.com/duelog/duelog/server/message"
)

// properties is what one pass over a message's properties finds. The strings are
// views of raw; "" is absent.
type properties struct {
	raw         string
	delay       delayRequest
	uniqKey     string // UNIQ_KEY
	tags        string // TAGS
	keys        string // KEYS
	transaction string // TRAN_MSG
	own         bool   // some are the broker's to write
	waited      bool   // some tell of an earlier wait
}

func (p *properties) scan(raw string) {
	*p = properties{raw: raw}
	for name, value := range message.Properties(raw) {
		switch name {
		case message.PropUniqKey:
			p.uniqKey = value
		case message.PropTags:
			p.tags = value
		case message.PropKeys:
			p.keys = value
		case message.PropTranMsg:
			p.transaction = value
		case message.PropRealTopic, message.PropRealQueueID, message.PropTimerEnqueueMs, message.PropTimerDequeueMs:
			p.waited = true
		default:
			p.own = p.own || isOwn(name)
			p.delay.set(name, value)
		}
	}
}

// isOwn names what the broker writes into every record, or never stores.
func isOwn(name string) bool {
	switch name {
	case message.PropMsgRegion, message.PropTraceOn, message.PropCluster, message.PropPopCheckPoint:
		return true
	}
	return strings.HasPrefix(name, message.PropTransientStart)
}

// appendProperties appends the properties of a stored record to dst. They are
// the producer's as they are, unless some of them have to go.
func (r *recorder) appendProperties(dst []byte, topic string, queueID int32, when schedule, nowMs int64) []byte {
	p := &r.info
	clamped := when.level > 0 && p.delay.level != strconv.Itoa(when.level)
	if p.own || clamped || p.waited && when.fireMs > 0 || p.delay.isTimer() && when.level > 0 {
		dst = message.AppendFiltered(dst, p.raw, func(name string) bool { return when.keeps(name, clamped) && !isOwn(name) })
	} else {
		dst = appendClosed(dst, p.raw)
	}
	if p.uniqKey == "" {
		dst = message.AppendProperty(dst, message.PropUniqKey, text(r.uniq))
	}
	dst = append(dst, r.home.common...)
	if clamped {
		dst = appendNumber(dst, message.PropDelayLevel, int64(when.level))
	}
	if when.fireMs > 0 {
		dst = appendWait(dst, topic, queueID, when, nowMs)
	}
	return dst
}

// keeps says whether a message that is scheduled so keeps a property of its
// producer: not what appendWait writes anew, nor what a delay level overrides.
func (s schedule) keeps(name string, clamped bool) bool {
	switch name {
	case message.PropDelayLevel:
		return !clamped
	case message.PropRealTopic, message.PropRealQueueID:
		return s.fireMs == 0
	case message.PropTimerEnqueueMs, message.PropTimerDequeueMs:
		return !s.isTimed()
	case message.PropTimerDelaySec, message.PropTimerDelayMs, message.PropTimerDeliverMs:
		return s.level == 0
	}
	return true
}

// appendWait appends what a message that waits carries.
func appendWait(dst []byte, topic string, queueID int32, when schedule, nowMs int64) []byte {
	dst = message.AppendProperty(dst, message.PropRealTopic, topic)
	dst = appendNumber(dst, message.PropRealQueueID, int64(queueID))
	if !when.isTimed() {
		return dst
	}
	dst = appendNumber(dst, message.PropTimerOutMs, when.fireMs)
	dst = appendNumber(dst, message.PropTimerEnqueueMs, nowMs)
	return appendNumber(dst, message.PropTimerDequeueMs, when.fireMs) // 13 digits until the year 2286
}

// appendClosed appends a properties string and the last separator if it lacks it.
func appendClosed(dst []byte, s string) []byte {
	dst = append(dst, s...)
	if s != "" && s[len(s)-1] != propertyEnd {
		dst = append(dst, propertyEnd)
	}
	return dst
}

// Separators of a properties string; part of the format, do not change.
const (
	nameEnd     = 0x01
	propertyEnd = 0x02
)

// appendNumber appends a property of the broker's own.
func appendNumber(dst []byte, name string, n int64) []byte {
	dst = append(append(dst, name...), nameEnd)
	return append(strconv.AppendInt(dst, n, 10), propertyEnd)
}
