package broker

import (
	"strconv"

	"github.com/duelog/duelog/server/remoting"
)

// sendHeader is the header of SEND_MESSAGE 10 (long names), SEND_MESSAGE_V2 310
// and SEND_BATCH_MESSAGE 320 (one-letter names). Its strings are views of the
// request.
type sendHeader struct {
	group         string // a
	topic         string // b
	defaultTopic  string // c: template for creating topic
	properties    string // i
	defaultQueues int32  // d: queues of a topic created by this send
	queueID       int32  // e: negative lets the broker choose
	sysFlag       int32  // f
	flag          int32  // h
	reconsumes    int32  // j
	maxReconsumes int32  // l; -1 when absent
	bornMs        int64  // g; 0 when absent
}

// parse reads the header in one pass. Unknown fields are ignored, an empty
// number is an absent one, and only the topic has to be there.
func (h *sendHeader) parse(ext []remoting.Field) *refusal {
	*h = sendHeader{queueID: -1, maxReconsumes: -1}
	for i := range ext {
		if !h.set(ext[i].Key, ext[i].Value) {
			return refuse(remoting.RespInvalidParameter, "bad_header", "header field %.64q: %.64q is not a number", ext[i].Key, ext[i].Value)
		}
	}
	if h.topic == "" {
		return refuse(remoting.RespInvalidParameter, "bad_header", "header field topic is missing")
	}
	return nil
}

// set takes one field; false means that its value is not the number it has to be.
func (h *sendHeader) set(key, value string) bool {
	switch key {
	case "a", "producerGroup":
		h.group = value
	case "b", "topic":
		h.topic = value
	case "c", "defaultTopic":
		h.defaultTopic = value
	case "i", "properties":
		h.properties = value
	case "d", "defaultTopicQueueNums":
		return parseInt32(value, &h.defaultQueues)
	case "e", "queueId":
		return parseInt32(value, &h.queueID)
	case "f", "sysFlag":
		return parseInt32(value, &h.sysFlag)
	case "h", "flag":
		return parseInt32(value, &h.flag)
	case "j", "reconsumeTimes":
		return parseInt32(value, &h.reconsumes)
	case "l", "maxReconsumeTimes":
		return parseInt32(value, &h.maxReconsumes)
	case "g", "bornTimestamp":
		return parseInt64(value, &h.bornMs)
	}
	return true
}

func parseInt32(s string, n *int32) bool {
	if s == "" {
		return true
	}
	var v int64
	if !parseInt64(s, &v) || v != int64(int32(v)) {
		return false
	}
	*n = int32(v)
	return true
}

// plainDigits is how many digits always fit an int64.
const plainDigits = 18

// parseInt64 reads plain digits itself, which nearly all numbers of a request are,
// and leaves the rest to strconv.
func parseInt64(s string, n *int64) bool {
	if len(s) > plainDigits {
		return parseAnyInt64(s, n)
	}
	var v int64
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return parseAnyInt64(s, n)
		}
		v = v*10 + int64(d)
	}
	if s != "" {
		*n = v
	}
	return true
}

func parseAnyInt64(s string, n *int64) bool {
	v, err := strconv.ParseInt(s, 10, 64)
	*n = v
	return err == nil
}
