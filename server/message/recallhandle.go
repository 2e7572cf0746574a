package message

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// RecallHandle names a message that waits for an exact time, so that it can be recalled.
// The answer to its send has it: URL-safe base64 of
//
//	v1 <topic> <broker> <due time in ms, plus 1> <UNIQ_KEY>
//
// which is what RocketMQ 5.3 and later give out and take back.
type RecallHandle struct {
	Topic  string
	Broker string // name of the one that holds it
	ID     string // UNIQ_KEY
	DueMs  int64  // since 1970
}

const (
	recallVersion = "v1"
	recallFields  = 5
)

// AppendRecallHandle appends the handle in the form of the wire to dst.
func AppendRecallHandle(dst []byte, h *RecallHandle) []byte {
	var buf [512]byte
	b := append(buf[:0], recallVersion+" "...)
	b = append(append(b, h.Topic...), ' ')
	b = append(append(b, h.Broker...), ' ')
	b = append(strconv.AppendInt(b, h.DueMs+1, 10), ' ')
	b = append(b, h.ID...)
	return base64.URLEncoding.AppendEncode(dst, b)
}

// ParseRecallHandle reads what AppendRecallHandle writes; ok is false for anything else.
func ParseRecallHandle(s string) (h RecallHandle, ok bool) {
	b, err := base64.URLEncoding.DecodeString(s)
	if err != nil {
		return h, false
	}
	f := strings.Split(string(b), " ")
	if len(f) != recallFields || f[0] != recallVersion || f[1] == "" || f[4] == "" {
		return h, false
	}
	ms, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil || ms < 1 {
		return h, false
	}
	return RecallHandle{Topic: f[1], Broker: f[2], DueMs: ms - 1, ID: f[4]}, true
}
