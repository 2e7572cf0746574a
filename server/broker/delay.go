package broker

import (
	"fmt"
	"strconv"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// Ways to ask for a delay. A producer names the time in a property; the first of
// these that is present and not empty decides, the others are not even parsed:
//
//	DELAY              level 1..18, a larger one counts as 18; zero and below is "not set"
//	TIMER_DELAY_SEC    seconds from receipt
//	TIMER_DELAY_MS     milliseconds from receipt
//	TIMER_DELIVER_MS   epoch milliseconds
//	__STARTDELIVERTIME epoch milliseconds
//
// Only DELAY is looked at in a message that carries TIMER_OUT_MS (it was timed
// before) or RETRY_TOPIC (a consumer gave it back): their times are history.

// levelMs are the delays of the levels 1..18. Clients know this table by heart
// (consumer retries walk along it); part of the protocol, do not change.
var levelMs = [...]int64{
	1_000, 5_000, 10_000, 30_000,
	60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000, 480_000, 540_000, 600_000, 1_200_000, 1_800_000,
	3_600_000, 7_200_000,
}

// maxLevel is the highest delay level.
const maxLevel = len(levelMs)

// delayRequest holds the values of the properties that speak of time; "" is absent.
type delayRequest struct {
	level     string // DELAY
	delaySec  string // TIMER_DELAY_SEC
	delayMs   string // TIMER_DELAY_MS
	deliverMs string // TIMER_DELIVER_MS
	startMs   string // __STARTDELIVERTIME
	history   bool   // TIMER_OUT_MS or RETRY_TOPIC is present
}

// set takes the property if it is one of those that speak of time.
func (r *delayRequest) set(name, value string) {
	switch name {
	case message.PropDelayLevel:
		r.level = value
	case message.PropTimerDelaySec:
		r.delaySec = value
	case message.PropTimerDelayMs:
		r.delayMs = value
	case message.PropTimerDeliverMs:
		r.deliverMs = value
	case message.PropStartDeliver:
		r.startMs = value
	case message.PropTimerOutMs, message.PropRetryTopic:
		r.history = true
	}
}

// isTimer says that TIMER_* properties ask for a time. A delay level overrides
// them so that they do not even reach the consumer.
func (r *delayRequest) isTimer() bool {
	return r.delaySec != "" || r.delayMs != "" || r.deliverMs != ""
}

// schedule is when a message is due.
type schedule struct {
	fireMs int64 // epoch ms; 0 is now
	level  int   // the delay level that decided, 0 if none did
}

// isTimed says that an exact time decided, not a level.
func (s schedule) isTimed() bool { return s.fireMs > 0 && s.level == 0 }

// resolve turns the request into a time, as seen at nowMs. A time that has come
// already is "now"; one more than maxDelay ahead, or a value that is no number,
// is refused.
func (r *delayRequest) resolve(nowMs int64, maxDelay time.Duration) (schedule, *refusal) {
	s, ref := r.resolveLevel(nowMs, maxDelay)
	if ref != nil || s.level > 0 || r.history {
		return s, ref
	}
	switch {
	case r.delaySec != "":
		return relative(message.PropTimerDelaySec, r.delaySec, 1000, nowMs, maxDelay)
	case r.delayMs != "":
		return relative(message.PropTimerDelayMs, r.delayMs, 1, nowMs, maxDelay)
	case r.deliverMs != "":
		return absolute(message.PropTimerDeliverMs, r.deliverMs, nowMs, maxDelay)
	case r.startMs != "":
		return absolute(message.PropStartDeliver, r.startMs, nowMs, maxDelay)
	}
	return schedule{}, nil
}

func (r *delayRequest) resolveLevel(nowMs int64, maxDelay time.Duration) (schedule, *refusal) {
	if r.level == "" {
		return schedule{}, nil
	}
	level, err := strconv.ParseInt(r.level, 10, 64)
	if err != nil {
		return schedule{}, notANumber(message.PropDelayLevel, r.level)
	}
	if level <= 0 {
		return schedule{}, nil
	}
	n := int(min(level, int64(maxLevel)))
	s, ref := after(nowMs, levelMs[n-1], maxDelay)
	s.level = n
	return s, ref
}

// relative resolves a delay of value units of unitMs each.
func relative(name, value string, unitMs, nowMs int64, maxDelay time.Duration) (schedule, *refusal) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return schedule{}, notANumber(name, value)
	}
	if n <= 0 {
		return schedule{}, nil
	}
	if n > maxDelay.Milliseconds()/unitMs { // before the product can overflow
		return schedule{}, tooFar(fmt.Sprintf("%s=%d", name, n), maxDelay)
	}
	return after(nowMs, n*unitMs, maxDelay)
}

// absolute resolves a point in time.
func absolute(name, value string, nowMs int64, maxDelay time.Duration) (schedule, *refusal) {
	at, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return schedule{}, notANumber(name, value)
	}
	if at <= nowMs {
		return schedule{}, nil
	}
	if at-nowMs > maxDelay.Milliseconds() {
		return schedule{}, tooFar(fmt.Sprintf("%s=%d", name, at), maxDelay)
	}
	return schedule{fireMs: at}, nil
}

func after(nowMs, delayMs int64, maxDelay time.Duration) (schedule, *refusal) {
	if delayMs > maxDelay.Milliseconds() {
		return schedule{}, tooFar(fmt.Sprintf("a delay of %d ms", delayMs), maxDelay)
	}
	return schedule{fireMs: nowMs + delayMs}, nil
}

func notANumber(name, value string) *refusal {
	const enough = 40 // of a value that may be 32 KiB of anything
	if len(value) > enough {
		value = value[:enough] + "..."
	}
	return &refusal{
		code: remoting.RespMessageIllegal, reason: "bad_delay",
		remark: fmt.Sprintf("timer message illegal, %s=%q is not a number", name, value),
	}
}

func tooFar(what string, maxDelay time.Duration) *refusal {
	return &refusal{
		code: remoting.RespMessageIllegal, reason: "delay_too_long",
		remark: fmt.Sprintf("timer message illegal, %s is more than the max delay of %d ms (%s) ahead", what, maxDelay.Milliseconds(), inDays(maxDelay)),
	}
}

// inDays writes a limit the way people say it.
func inDays(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
