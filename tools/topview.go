package tools

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// viewer shows views of top.
type viewer interface {
	put(v *view)
	close() error
}

// rows returns the picture on a terminal and a row per view elsewhere.
func (s *watching) rows() viewer {
	if s.e.forPeople() && isTerminal(s.e.Out) {
		return &picture{e: s.e}
	}
	return &viewRows{s.e.table("time", "in_per_s", "fired_per_s", "out_per_s", "late_p50", "late_p99", "late_max", "pending", "overdue", "behind", "disk_full", "next")}
}

// viewRows prints a row per view.
type viewRows struct{ *table }

func (r *viewRows) put(v *view) {
	next := make([]string, len(v.next))
	for i, n := range v.next {
		next[i] = fmt.Sprint(n)
	}
	r.row(v.at, v.in, v.fired, v.out, v.p50, v.p99, v.worst, v.pending, v.overdue, v.behind, v.full, strings.Join(next, " "))
	r.flush()
}

// picture draws over itself.
type picture struct{ e *env }

// home moves to the upper left corner; wipe clears from there to the end.
const (
	home = "\x1b[H"
	wipe = "\x1b[J"
)

func (p *picture) put(v *view) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\x1b[K\n", args...) }
	b.WriteString(home)
	line("%s  %s", p.e.paint(bold, "duelogctl top"), v.at.Local().Format("2006-01-02 15:04:05"))
	line("")
	line("in      %10.1f /s   fired %10.1f /s   delivered %10.1f /s", v.in, v.fired, v.out)
	line("late    p50 <= %s   p99 <= %s   all <= %s", shown(v.p50), p.alarm(v.p99), p.alarm(v.worst))
	line("pending %10d      overdue %8d      behind %s", v.pending, v.overdue, v.behind)
	if v.full {
		line("%s", p.e.paint(red, "the disk is full: new messages are refused"))
	}
	line("")
	line("due in the next seconds")
	most := slices.Max(v.next)
	for i, n := range v.next {
		line("%+4d s %10d  %s", i, n, p.e.paint(green, bar(n, most, chartWidth)))
	}
	b.WriteString(wipe)
	_, _ = p.e.out.Write([]byte(b.String()))
	p.e.out.flush()
}

// alarm colours a lateness that a person wants to know of.
func (p *picture) alarm(v any) string {
	d, ok := v.(time.Duration)
	if v != nil && (!ok || d >= 100*time.Millisecond) {
		return p.e.paint(red, shown(v))
	}
	return shown(v)
}

func shown(v any) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprint(v)
}

func (p *picture) close() error { return p.e.out.err() }
