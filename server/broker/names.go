package broker

import (
	"errors"
	"fmt"
	"strings"
)

// Name limits of the protocol, in bytes.
const (
	maxTopicName       = 127
	maxSystemTopicName = 255 // retry and dead-letter topics, which carry a group name
	maxGroupName       = 120

	// MaxQueues is the most queues a topic may have.
	MaxQueues = 16384
)

// Prefixes and names with a meaning of their own.
const (
	retryPrefix = "%RETRY%"
	dlqPrefix   = "%DLQ%"

	topicAutoCreate    = "TBW102"                   // template of automatically created topics
	topicSchedule      = "SCHEDULE_TOPIC_XXXX"      // delay levels, for tools that look at it
	topicTimer         = "rmq_sys_wheel_timer"      // timers, for tools that look at it
	topicHalf          = "RMQ_SYS_TRANS_HALF_TOPIC" // prepared transaction messages
	topicHalfOp        = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	topicTransDiscard  = "TRANS_CHECK_MAX_TIME_TOPIC" // half messages given up
	topicTrace         = "RMQ_SYS_TRACE_TOPIC"
	topicSelfTest      = "SELF_TEST_TOPIC"
	topicBenchmark     = "BenchmarkTest"
	topicOffsetMoved   = "OFFSET_MOVED_EVENT"
	replyTopicSuffix   = "_REPLY_TOPIC"
	systemGroupPrefix  = "CID_RMQ_SYS_"
	levelQueues        = 18
	benchmarkQueues    = 16
	clusterTopicQueues = 16
)

// systemGroups always exist: tools and clients use them without asking.
var systemGroups = []string{"TOOLS_CONSUMER", "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY", "CID_ONSAPI_PULL", "CID_ONSAPI_PERMISSION", "CID_ONSAPI_OWNER"}

// errName is wrapped by every error about an unacceptable topic or group name.
// Its text is a remark for the client.
var errName = errors.New("name refused")

// nameError is a refused name with the remark a client gets.
type nameError string

func (e nameError) Error() string { return string(e) }
func (nameError) Unwrap() error   { return errName }

// checkTopicName accepts what the protocol allows as a topic.
func checkTopicName(name string) error {
	limit := maxTopicName
	if strings.HasPrefix(name, retryPrefix) || strings.HasPrefix(name, dlqPrefix) {
		limit = maxSystemTopicName
	}
	return checkName("topic", name, limit)
}

// checkGroupName accepts what the protocol allows as a group.
func checkGroupName(name string) error { return checkName("group", name, maxGroupName) }

func checkName(what, name string, limit int) error {
	switch {
	case name == "":
		return nameError("The specified " + what + " is blank")
	case len(name) > limit:
		return nameError(fmt.Sprintf("The specified %s is longer than %s max length %d.", what, what, limit))
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return nameError(fmt.Sprintf("The specified %s: %.127q, contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$", what, name))
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '_' || c == '-' || c == '%' || c == '|'
}
