package tools

import (
	"strconv"
	"strings"
	"time"
)

// parseWhen reads a time as people write it, relative to now and in its zone:
// RFC 3339, "2006-01-02 15:04:05.000" with the seconds, the fraction or the time
// of day left out, "15:04", "today 15:04", "tomorrow 09:00", "now", a duration
// from now (30s, +2h, -1d, 1d12h), or @ and milliseconds since 1970.
func parseWhen(s string, now time.Time) (time.Time, error) {
	if s == "now" {
		return now, nil
	}
	if n, ok := strings.CutPrefix(s, "@"); ok {
		if v, err := strconv.ParseInt(n, 10, 64); err == nil {
			return time.UnixMilli(v), nil
		}
	}
	if d, err := parseDuration(s); err == nil {
		return now.Add(d), nil
	}
	if t, ok := parseDayTime(s, now); ok {
		return t, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef(`%q is not a time: write it like 30s, 2h, 7d, 15:04, "tomorrow 09:00", "2026-11-23 06:00", 2026-11-23T06:00:00Z or @1795413600000`, s)
}

// parseDayTime reads "15:04", "today 15:04:05" and "tomorrow 09:00".
func parseDayTime(s string, now time.Time) (time.Time, bool) {
	days := 0
	if rest, ok := strings.CutPrefix(s, "tomorrow"); ok {
		days, s = 1, strings.TrimSpace(rest)
	} else if rest, ok := strings.CutPrefix(s, "today"); ok {
		s = strings.TrimSpace(rest)
	}
	for _, layout := range []string{"15:04", "15:04:05", "15:04:05.000"} {
		if t, err := time.Parse(layout, s); err == nil {
			year, month, day := now.Date()
			return time.Date(year, month, day+days, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), now.Location()), true
		}
	}
	return time.Time{}, false
}

// parseDuration reads what time.ParseDuration does, a sign in front, and days: 1d12h.
func parseDuration(s string) (time.Duration, error) {
	text, negative := strings.CutPrefix(s, "-")
	if !negative {
		text = strings.TrimPrefix(text, "+")
	}
	total := time.Duration(0)
	if n, rest, ok := strings.Cut(text, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return 0, usagef("%q is not a duration: write it like 500ms, 72h or 7d", s)
		}
		total, text = time.Duration(days)*24*time.Hour, rest
	}
	if text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || strings.ContainsAny(text[:1], "+-") {
			return 0, usagef("%q is not a duration: write it like 500ms, 72h or 7d", s)
		}
		total += d
	} else if total == 0 && !strings.HasSuffix(s, "0d") {
		return 0, usagef("%q is not a duration: write it like 500ms, 72h or 7d", s)
	}
	if negative {
		total = -total
	}
	return total, nil
}
