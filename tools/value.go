package tools

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// timeLayout is how all times are printed: RFC 3339 with milliseconds, in the
// zone of the process (TZ).
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// byteCount is a number of bytes: 1.2 MiB for people, 1234567 for programs.
type byteCount int64

// styled is a cell in colour.
type styled struct {
	value any
	style style
}

// bodyValue is a body as --body asks for it: whole for programs; people see where it
// begins and how long it is.
type bodyValue struct {
	shown any // a string, or JSON that is valid
	size  int // of the body in bytes
}

// bodyWidth is how many characters of a body people see.
const bodyWidth = 120

// short is the body for people. It holds no part of the body's memory.
func (b bodyValue) short() string {
	text := plainText(b.shown)
	if utf8.RuneCountInString(text) <= bodyWidth {
		return strings.Clone(text)
	}
	return fmt.Sprintf("%s... (%d bytes)", string([]rune(text[:min(len(text), bodyWidth*utf8.UTFMax)])[:bodyWidth]), b.size)
}

// ms is a time on disk: milliseconds since 1970. 0 has no value.
func ms(n int64) any {
	if n == 0 {
		return nil
	}
	return time.UnixMilli(n)
}

// styleOf is the style of a cell.
func styleOf(v any) style {
	if s, ok := v.(styled); ok {
		return s.style
	}
	return plain
}

// machine is a cell for JSON and YAML: nil, a string, a number, a bool, or what
// is made of them.
func machine(v any) any {
	switch v := v.(type) {
	case styled:
		return machine(v.value)
	case bodyValue:
		return machine(v.shown)
	case byteCount:
		return int64(v)
	case time.Time:
		return v.Local().Format(timeLayout)
	case time.Duration:
		return v.Milliseconds()
	case string:
		return strings.ToValidUTF8(v, "\uFFFD")
	case fmt.Stringer:
		return v.String()
	default:
		return v
	}
}

// plainText is a cell for CSV.
func plainText(v any) string {
	switch v := machine(v).(type) {
	case nil:
		return ""
	case string:
		return v
	case json.RawMessage:
		return string(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// humanText is a cell for people, on one line.
func humanText(v any) string {
	switch v := v.(type) {
	case styled:
		return humanText(v.value)
	case bodyValue:
		return printable(v.short())
	case byteCount:
		return humanize.IBytes(uint64(max(v, 0)))
	case time.Duration:
		return durationText(v)
	case float64:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return printable(plainText(v))
	}
}

// durationText is a duration as people write it, and parseDuration reads it: 300d, 1d12h,
// 1h30m, 2.5s.
func durationText(d time.Duration) string {
	if d < 0 {
		return "-" + durationText(-d)
	}
	days := ""
	if n := d / (24 * time.Hour); n > 0 {
		days, d = fmt.Sprintf("%dd", n), d%(24*time.Hour)
	}
	if d == 0 && days != "" {
		return days
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return days + text
}

// kept is a cell for people that stays what it is when the memory under it is used
// again: what was decoded from a file or a frame is a view of a buffer.
func kept(v any) any {
	switch v := v.(type) {
	case styled:
		return styled{kept(v.value), v.style}
	case string:
		return strings.Clone(v)
	case json.RawMessage:
		return slices.Clone(v)
	case bodyValue:
		return v.short()
	}
	return v
}

// printable replaces what would move the cursor of a terminal.
func printable(s string) string {
	clean := func(r rune) bool { return r >= ' ' && r != 0x7f && (r < 0x80 || r >= 0xa0) && r != utf8.RuneError }
	if strings.IndexFunc(s, func(r rune) bool { return !clean(r) }) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if clean(r) {
			return r
		}
		return '.'
	}, s)
}

// isNumber tells whether people want a cell aligned to the right.
func isNumber(v any) bool {
	switch v := v.(type) {
	case styled:
		return isNumber(v.value)
	case int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float64, byteCount, time.Duration:
		return true
	}
	return false
}
