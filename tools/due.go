package tools

import (
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/message"
)

// dueHelp explains the flags of dueTime.
const dueHelp = `--at takes a time by the clock of this machine: RFC 3339, "2026-12-24 18:00", "tomorrow
09:00", "friday 18:00", or 09:00, which is today's or, when that has passed, tomorrow's.
--in takes a duration (500ms, 30s, 2h30m, 5d) and counts by the broker's clock.`

// dueTime is when a message is to be delivered, as a verb was told.
type dueTime struct {
	verb   string
	at, in string
}

// newDueTime adds the flags.
func newDueTime(cmd *cobra.Command) *dueTime {
	d := &dueTime{verb: cmd.Name()}
	cmd.Flags().StringVar(&d.at, "at", "", "`time` at which it is delivered")
	cmd.Flags().StringVar(&d.in, "in", "", "`duration` after which it is delivered")
	return d
}

// when says when the message is due, and by which property the broker is told.
func (d *dueTime) when(now time.Time) (due time.Time, name, value string, err error) {
	switch {
	case (d.at == "") == (d.in == ""):
		return due, "", "", usagef("%s: give either --at TIME or --in DURATION", d.verb)
	case d.in != "":
		delay, err := parseDuration(d.in)
		if err != nil {
			return due, "", "", err
		}
		if delay < 0 {
			return due, "", "", usagef("--in %s is in the past", d.in)
		}
		return now.Add(delay), message.PropTimerDelayMs, strconv.FormatInt(delay.Milliseconds(), 10), nil
	}
	if due, err = parseFuture(d.at, now); err != nil {
		return due, "", "", err
	}
	if due.Before(now) {
		return due, "", "", hint(usagef("--at %s is in the past: it is %s now", due.Format(timeLayout), now.Format(timeLayout)), "for at once, say --at now")
	}
	return due, message.PropTimerDeliverMs, strconv.FormatInt(due.UnixMilli(), 10), nil
}

// parseFuture is parseWhen for times that are to come: a time of day that has
// passed is tomorrow's, and a weekday is the next one.
func parseFuture(s string, now time.Time) (time.Time, error) {
	if first, rest, ok := strings.Cut(s, " "); ok {
		if day, ok := parseWeekday(first); ok {
			return onWeekday(day, rest, now)
		}
	}
	t, err := parseWhen(s, now)
	if err == nil && t.Before(now) && isTimeOfDay(s) {
		t, err = parseWhen("tomorrow "+s, now)
	}
	return t, err
}

func isTimeOfDay(s string) bool {
	return len(s) > 0 && s[0] >= '0' && s[0] <= '9' && strings.Contains(s, ":") && !strings.ContainsAny(s, "-T ")
}

// parseWeekday reads "friday" and "fri".
func parseWeekday(s string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := d.String(); strings.EqualFold(s, name) || strings.EqualFold(s, name[:3]) {
			return d, true
		}
	}
	return 0, false
}

func onWeekday(day time.Weekday, clock string, now time.Time) (time.Time, error) {
	t, ok := parseDayTime(strings.TrimSpace(clock), now)
	if !ok {
		return t, usagef(`%q is not a time of day: write it like 18:00 or 18:00:30`, clock)
	}
	t = t.AddDate(0, 0, int(day-now.Weekday()+7)%7)
	if t.Before(now) {
		t = t.AddDate(0, 0, 7)
	}
	return t, nil
}
