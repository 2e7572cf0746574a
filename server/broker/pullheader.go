package broker

import (
	"strconv"

	"github.com/duelog/duelog/server/remoting"
)

// pullHeader is the header of PULL_MESSAGE, its strings views of the request.
type pullHeader struct {
	group, topic                 string
	queueID                      int64
	offset                       int64
	maxMessages, maxBytes        int64
	sysFlag                      int64
	commitOffset                 int64
	suspendMs                    int64
	subscription, expressionType string
	version                      int64
}

// parsePull reads the header in one pass. It returns the name of the first
// field that is not a number, else of the first mandatory one that is missing.
func parsePull(cmd *remoting.Command) (h pullHeader, bad string) {
	h.queueID, h.offset, h.maxMessages, h.sysFlag = -1, -1, pullMaxMessages, -1
	h.maxBytes = pullMaxBytes
	for _, f := range cmd.Ext {
		number := h.set(f.Key, f.Value)
		if number == nil {
			continue
		}
		n, err := strconv.ParseInt(f.Value, 10, 64)
		if err != nil {
			return h, f.Key
		}
		*number = n
	}
	switch {
	case h.group == "":
		return h, "consumerGroup"
	case h.topic == "":
		return h, "topic"
	case h.offset < 0 && !given(cmd, "queueOffset"):
		return h, "queueOffset"
	case h.sysFlag < 0:
		return h, "sysFlag"
	}
	return h, ""
}

// given tells whether a field is there, for those of which any number makes sense:
// an offset below the queue, even below 0, is put right and not refused.
func given(cmd *remoting.Command, key string) bool {
	_, ok := cmd.Lookup(key)
	return ok
}

// set stores a text field; for a number it returns where that belongs.
func (h *pullHeader) set(key, value string) (number *int64) {
	switch key {
	case "consumerGroup":
		h.group = value
	case "topic":
		h.topic = value
	case "subscription":
		h.subscription = value
	case "expressionType":
		h.expressionType = value
	case "queueId":
		return &h.queueID
	case "queueOffset":
		return &h.offset
	case "maxMsgNums":
		return &h.maxMessages
	case "maxMsgBytes":
		return &h.maxBytes
	case "sysFlag":
		return &h.sysFlag
	case "commitOffset":
		return &h.commitOffset
	case "suspendTimeoutMillis":
		return &h.suspendMs
	case "subVersion":
		return &h.version
	}
	return nil
}
