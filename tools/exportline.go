package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/duelog/duelog/server/message"
)

// An export is lines of JSON: a header, a message per line in the order in which
// they fire, and an end. It may be compressed with zstd.
//
//	{"duelog_export":1,"source":"...","created":"2026-11-23T06:00:00.000Z"}
//	{"id":"...","topic":"orders","queue":0,"due":"...","due_ms":1795413600000, ... ,"body":"..."}
//	{"end":true,"messages":1,"skipped":0}
//
// A body that is no UTF-8 stands in body_base64. due, tags and keys are for
// people: due_ms and properties count. What a reader does not know it passes over.

// exportVersion is that of the format. A reader refuses a newer one.
const exportVersion = 1

type exportHeader struct {
	Version int    `json:"duelog_export"`
	Source  string `json:"source"`
	Created string `json:"created"`
}

type exportEnd struct {
	End      bool  `json:"end"`
	Messages int64 `json:"messages"`
	Skipped  int64 `json:"skipped"`
}

// exportedMessage is one message of an export.
type exportedMessage struct {
	ID             string            `json:"id"`
	Topic          string            `json:"topic"`
	Queue          int32             `json:"queue"`
	Due            string            `json:"due"`
	DueMs          int64             `json:"due_ms"`
	Tags           string            `json:"tags,omitempty"`
	Keys           string            `json:"keys,omitempty"`
	Properties     map[string]string `json:"properties"`
	BornMs         int64             `json:"born_ms"`
	BornHost       string            `json:"born_host,omitempty"`
	StoreMs        int64             `json:"store_ms"`
	Flag           int32             `json:"flag,omitempty"`
	SysFlag        int32             `json:"sys_flag,omitempty"`
	ReconsumeTimes int32             `json:"reconsume_times,omitempty"`
	PreparedOffset int64             `json:"prepared_offset,omitempty"`
	Body           *string           `json:"body,omitempty"`
	BodyBase64     []byte            `json:"body_base64,omitempty"`
}

// exportMessage makes the line of a message.
func exportMessage(m *message.Message, fireMs int64) *exportedMessage {
	x := &exportedMessage{
		ID: idOf(m), Topic: m.Topic, Queue: m.QueueID, Due: time.UnixMilli(fireMs).UTC().Format(timeLayout), DueMs: fireMs,
		Properties: map[string]string{}, BornMs: m.BornMs, StoreMs: m.StoreMs,
		Flag: m.Flag, SysFlag: m.SysFlag, ReconsumeTimes: m.ReconsumeTimes, PreparedOffset: m.PreparedTxOffset,
	}
	for name, value := range message.Properties(m.Properties) {
		x.Properties[name] = value
	}
	x.Tags, x.Keys = x.Properties[message.PropTags], x.Properties[message.PropKeys]
	if m.BornHost.IsValid() {
		x.BornHost = m.BornHost.String()
	}
	if utf8.Valid(m.Body) {
		text := string(m.Body)
		x.Body = &text
	} else {
		x.BodyBase64 = m.Body
	}
	return x
}

// message is the message of the line, ready to be imported.
func (x *exportedMessage) message() (*message.Message, error) {
	m := &message.Message{
		Topic: x.Topic, QueueID: x.Queue, BornMs: x.BornMs, StoreMs: x.StoreMs,
		Flag: x.Flag, SysFlag: x.SysFlag, ReconsumeTimes: x.ReconsumeTimes, PreparedTxOffset: x.PreparedOffset,
		Body: x.BodyBase64,
	}
	switch {
	case x.Topic == "":
		return nil, errors.New("the topic is missing")
	case x.DueMs <= 0:
		return nil, errors.New("due_ms is missing")
	case x.Body != nil && x.BodyBase64 != nil:
		return nil, errors.New("there is both a body and a body_base64")
	case x.Body != nil:
		m.Body = []byte(*x.Body)
	}
	if x.BornHost != "" {
		host, err := netip.ParseAddrPort(x.BornHost)
		if err != nil {
			return nil, fmt.Errorf("born_host: %w", err)
		}
		m.BornHost = host
	}
	props, err := packProperties(x.Properties)
	if err != nil {
		return nil, err
	}
	m.Properties = props
	if message.Get(props, message.PropUniqKey) == "" && x.ID != "" {
		m.Properties += string(message.AppendProperty(nil, message.PropUniqKey, x.ID))
	}
	return m, m.Validate()
}

// packProperties writes properties in the order of their names. One that the
// format cannot hold is an error, not left out.
func packProperties(props map[string]string) (string, error) {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(props)) {
		with := message.AppendProperty(b, name, props[name])
		if len(with) == len(b) {
			return "", fmt.Errorf("the property %.60q cannot be stored", name)
		}
		b = with
	}
	return string(b), nil
}

// exportLine is a line of an export, decoded as far as its kind.
type exportLine struct {
	header *exportHeader
	end    *exportEnd
	msg    *exportedMessage
}

// parseExportLine tells the kinds of lines apart.
func parseExportLine(line []byte) (exportLine, error) {
	var kind struct {
		Version *int  `json:"duelog_export"`
		End     *bool `json:"end"`
	}
	if err := json.Unmarshal(line, &kind); err != nil {
		return exportLine{}, err
	}
	var x exportLine
	var into any
	switch {
	case kind.Version != nil:
		x.header = &exportHeader{}
		into = x.header
	case kind.End != nil:
		x.end = &exportEnd{}
		into = x.end
	default:
		x.msg = &exportedMessage{}
		into = x.msg
	}
	return x, json.Unmarshal(line, into)
}

// appendJSONLine appends v and a newline, without escaping what only HTML minds.
func appendJSONLine(buf *bytes.Buffer, v any) error {
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
