package tools

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// dump is an annotated dump: one row per field, with the offset where the field
// begins in its file.
type dump struct {
	e    *env
	t    *table
	body string // --body
	// names translates the ids of queues; it is nil without a MANIFEST.
	names queueNames
	file  string
	bad   bool // something did not check
	flat  bool // fields have no offsets of their own
}

func (e *env) dump(body string, names queueNames) *dump {
	return &dump{e: e, t: e.table("file", "offset", "kind", "field", "value"), body: body, names: names}
}

// put prints the fields of one thing that begins at off: a name, where the field
// begins in the thing, and its value, and so on.
func (d *dump) put(off int64, kind string, fields ...any) {
	for i := 0; i+2 < len(fields); i += 3 {
		at := off
		if !d.flat {
			at += int64(fields[i+1].(int))
		}
		d.t.row(d.file, at, kind, fields[i], fields[i+2])
	}
}

// damage prints a range of bytes that does not check.
func (d *dump) damage(off, bytes int64, err error) {
	d.bad = true
	d.t.row(d.file, off, "damage", "bytes", styled{bytes, red})
	d.t.row(d.file, off, "damage", "reason", styled{err.Error(), red})
}

func (d *dump) close() error {
	if err := d.t.close(); err != nil {
		return err
	}
	if d.bad {
		return errFindings
	}
	return nil
}

// bodyFlag adds --body.
func bodyFlag(cmd *cobra.Command, body *string) {
	cmd.Flags().StringVar(body, "body", "text", "how to show bodies: text, json, hex, none")
	_ = cmd.RegisterFlagCompletionFunc("body", cobra.FixedCompletions([]string{"text", "json", "hex", "none"}, cobra.ShellCompDirectiveNoFileComp))
}

func checkBody(body string) error {
	switch body {
	case "text", "json", "hex", "none":
		return nil
	}
	return usagef("unknown form of bodies %q: it is text, json, hex or none", body)
}

// record prints a stored record, header and payload. off is that of the header.
func (d *dump) record(off int64, it *commitlog.Item, payload []byte) {
	d.put(off, "record", "size", 0, it.Size, "queue", 4, d.names.name(it.Queue), "tag_hash", 8, it.Tag, "key_hash", 12, it.Key, "flags", 16, it.Flags)
	if it.Scheduled() {
		d.put(off, "record", "fire", 18, ms(it.When))
	} else {
		d.put(off, "record", "slot", 18, it.When)
	}
	d.put(off, "record", "loc", commitlog.RecordHeaderSize, it.Loc.String())
	if !d.flat {
		off += commitlog.RecordHeaderSize
	}
	d.payload(off, payload)
}

// payload prints a record's payload: a stored RocketMQ message, or opaque bytes.
func (d *dump) payload(off int64, payload []byte) {
	var m message.Message
	if err := message.Decode(payload, &m); err != nil {
		d.bodyOf(off, payload)
		return
	}
	check := "ok"
	if err := message.CheckBody(&m); err != nil {
		check = err.Error()
	}
	d.put(off, "message", "topic", 0, m.Topic, "queue_id", 0, m.QueueID, "born", 0, ms(m.BornMs), "born_host", 0, addr(m.BornHost),
		"stored", 0, ms(m.StoreMs), "reconsume_times", 0, m.ReconsumeTimes, "body_crc", 0, check)
	for name, value := range message.Properties(m.Properties) {
		d.put(off, "property", name, 0, value)
	}
	d.bodyOf(off, m.Body)
}

func addr(a netip.AddrPort) string { return a.String() }

func (d *dump) bodyOf(off int64, b []byte) {
	if d.body != "none" {
		d.put(off, "message", "body", 0, showBody(d.body, b))
	}
}

// showBody is a body as --body asks for it; a body that is no JSON is shown as text.
func showBody(form string, b []byte) bodyValue {
	switch form {
	case "hex":
		return bodyValue{hex.EncodeToString(b), len(b)}
	case "json":
		if json.Valid(b) { // which does not look at what is in its strings
			return bodyValue{json.RawMessage(bytes.ToValidUTF8(b, []byte("\uFFFD"))), len(b)}
		}
	}
	return bodyValue{string(b), len(b)}
}

// queueNames maps the ids of queues to topic/queue.
type queueNames map[uint32]store.ManifestQueue

func namesOf(m *store.Manifest) queueNames {
	if m == nil {
		return nil
	}
	names := queueNames{}
	for _, q := range m.Queues {
		names[q.ID] = q
	}
	return names
}

// refresh takes up the queues that the store in dir has now.
func (n queueNames) refresh(dir string) {
	if n == nil {
		return
	}
	if m, err := store.ReadManifest(dir); err == nil {
		maps.Copy(n, namesOf(m))
	}
}

func (n queueNames) name(id uint32) string {
	if q, ok := n[id]; ok {
		return fmt.Sprintf("%s/%d", q.Topic, q.Num)
	}
	return fmt.Sprintf("#%d", id)
}

func (n queueNames) topic(id uint32) string {
	if q, ok := n[id]; ok {
		return q.Topic
	}
	return fmt.Sprintf("#%d", id)
}

// span is --from and --to: offsets, or times.
type span struct {
	from, to string
	lo, hi   int64 // offsets or ms, as byTime says
	byTime   bool
}

// flags adds --from and --to. place is what a bare number means: offset, slot, or ""
// if it means nothing; what says of which times they are.
func (s *span) flags(cmd *cobra.Command, place, what string) {
	if place != "" {
		place += " or "
	}
	cmd.Flags().StringVar(&s.from, "from", "", "begin at this "+place+"`time` "+what)
	cmd.Flags().StringVar(&s.to, "to", "", "end before this "+place+"`time`")
}

// parse reads both ends. A bare number is an offset.
func (s *span) parse(now time.Time) error {
	s.lo, s.hi = 0, 1<<62
	for _, end := range []struct {
		text string
		at   *int64
	}{{s.from, &s.lo}, {s.to, &s.hi}} {
		if end.text == "" {
			continue
		}
		var off int64
		if n, err := fmt.Sscanf(end.text+"\n", "%d\n", &off); n == 1 && err == nil && !strings.ContainsAny(end.text, " :+-") {
			*end.at = off
			continue
		}
		t, err := parseWhen(end.text, now)
		if err != nil {
			return err
		}
		*end.at, s.byTime = t.UnixMilli(), true
	}
	return nil
}

// has reports whether something at an offset and a time lies in the span.
func (s *span) has(off, timeMs int64) bool {
	at := off
	if s.byTime {
		at = timeMs
	}
	return at >= s.lo && at < s.hi
}
