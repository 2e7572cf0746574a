package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	humanize "github.com/dustin/go-humanize"

	"github.com/duelog/duelog/bench"
)

func grouped(n int64) string   { return humanize.Comma(n) }
func bytesOf(v float64) string { return humanize.IBytes(uint64(max(v, 0))) }
func plural(n int, s string) string {
	if n == 1 {
		return "1 " + s
	}
	return fmt.Sprintf("%d %ss", n, s)
}

// column is a figure of a workload's table.
type column struct{ metric, head string }

// columns are what the table of a workload shows; other metrics stand in the JSON.
var columns = map[string][]column{
	"send": {
		{"send_per_s", "sent/s"},
		{"cpu_us_per_msg", "CPU us"},
		{"client_cpu_us_per_msg", "client us"},
		{"broker_cpu_us_per_msg", "broker us"},
		{"nameserver_cpu_us_per_msg", "name server us"},
		{"ack_p50_ms", "ack p50 ms"},
		{"ack_p99_ms", "p99"},
	},
	"fire": {
		{"drain_per_s", "drained/s"},
		{"fire_per_s", "peak/s"},
		{"cpu_us_per_msg", "CPU us"},
		{"client_cpu_us_per_msg", "client us"},
		{"broker_cpu_us_per_msg", "broker us"},
		{"nameserver_cpu_us_per_msg", "name server us"},
		{"publish_cpu_us_per_msg", "publish us"},
		{"lateness_p50_ms", "late p50 ms"},
		{"lateness_p99_ms", "p99"},
		{"lateness_max_ms", "max"},
		{"send_per_s", "sent/s"},
	},
	"lateness": {
		{"lateness_min_ms", "late min ms"},
		{"lateness_p50_ms", "p50"},
		{"lateness_p99_ms", "p99"},
		{"lateness_max_ms", "max"},
		{"ack_p50_ms", "ack p50 ms"},
		{"ack_p99_ms", "p99"},
		{"cpu_us_per_msg", "CPU us"},
		{"client_cpu_us_per_msg", "client us"},
	},
	"mixed": {
		{"ordinary_p50_ms", "ordinary p50 ms"},
		{"ordinary_p99_ms", "p99"},
		{"ordinary_max_ms", "max"},
		{"drain_per_s", "drained/s"},
		{"lateness_p99_ms", "late p99 ms"},
		{"cpu_us_per_msg", "CPU us"},
		{"client_cpu_us_per_msg", "client us"},
	},
	"footprint": {
		{"bytes_per_pending", "B/pending"},
		{"bytes_per_fired", "B/fired"},
		{"bytes_per_ordinary", "B/ordinary"},
		{"bytes_after_retention", "B/expired"},
		{"pending_stored_ratio", "pending x"},
		{"bytes_stored_ratio", "fired x"},
		{"bytes_written_ratio", "written x"},
		{"cpu_us_per_msg", "CPU us"},
		{"client_cpu_us_per_msg", "client us"},
		{"rss_bytes", "RSS"},
	},
	"steady": {
		{"messages", "messages"},
		{"messages_kept", "kept"},
		{"stored_per_message", "B stored"},
		{"stored_per_ordinary", "ordinary"},
		{"bytes_stored_ratio", "stored x"},
		{"written_per_message", "B written"},
		{"written_per_ordinary", "ordinary"},
		{"bytes_written_ratio", "written x"},
	},
	"recover": {
		{"restart_ms", "first ack ms"},
		{"accept_ms", "accepts ms"},
		{"empty_restart_ms", "empty ms"},
		{"restart_cpu_ms", "restart CPU ms"},
		{"cpu_us_per_msg", "CPU us"},
		{"client_cpu_us_per_msg", "client us"},
		{"duplicates", "came again"},
		{"rss_bytes", "RSS"},
		{"rss_restarted_bytes", "RSS after"},
	},
	"index": {
		{"append_ns", "add ns"},
		{"append_cpu_ns", "CPU ns"},
		{"bytes_per_pending", "B/entry"},
		{"runs", "runs"},
		{"anon_rss_bytes", "anonymous"},
		{"open_ms", "open ms"},
		{"fire_per_s", "cold fired/s"},
		{"fire_cpu_ns", "CPU ns"},
	},
	"cold": {
		{"disk_reads_per_s", "disk reads/s"},
		{"scattered_per_s", "scattered/s"},
		{"scattered_disk_ratio", "of disk x"},
		{"scattered_cpu_us", "CPU us"},
		{"sequential_per_s", "sequential/s"},
		{"sequential_cpu_us", "CPU us"},
		{"block_bytes", "B/block"},
		{"stored_ratio", "stored x"},
		{"burst_per_s", "burst/s"},
		{"lateness_p99_beside_ms", "late p99 ms"},
		{"lateness_p99_burst_ms", "in burst"},
		{"lateness_p99_ratio", "ratio x"},
	},
	"scale": {
		{"append_ns", "append ns"},
		{"cpu_us_per_msg", "CPU us"},
		{"client_cpu_us_per_msg", "client us"},
		{"rss_bytes", "RSS"},
		{"anon_rss_bytes", "anonymous"},
		{"restart_ms", "restart ms"},
		{"drain_per_s", "drained/s"},
		{"lateness_p99_ms", "late p99 ms"},
	},
}

var limitColumns = []column{
	{"send_per_s", "messages/s"},
	{"cpu_us_per_msg", "CPU us"},
	{"op_p50_ms", "p50 ms"},
	{"op_p99_ms", "p99 ms"},
	{"lateness_p50_ms", "late p50 ms"},
	{"lateness_p99_ms", "p99 ms"},
}

// WorkloadOrder is that of the tables.
var WorkloadOrder = []string{"send", "fire", "lateness", "mixed", "footprint", "steady", "recover", "scale", "index", "cold"}

// section is one table.
type section struct {
	head []string
	rows [][]string
}

// sections are the tables of f: one per workload, with the medians of
// repetitions, and the limits.
func sections(f *bench.File) []section {
	groups := bench.Repetitions(f)
	var out []section
	for _, name := range WorkloadOrder {
		if rows := withFigures(name, groups); len(rows) > 0 {
			out = append(out, workloadSection(name, rows))
		}
		if name == "scale" {
			out = append(out, growthSection(groups))
		}
	}
	for _, s := range []section{besideSection(groups), limitSection(f)} {
		if len(s.rows) > 0 {
			out = append(out, s)
		}
	}
	return slices.DeleteFunc(out, func(s section) bool { return len(s.rows) == 0 })
}

func withFigures(workload string, groups [][]*bench.Result) [][]*bench.Result {
	return slices.DeleteFunc(slices.Clone(groups), func(g []*bench.Result) bool {
		return g[0].Workload != workload || !slices.ContainsFunc(g, func(r *bench.Result) bool { return r.Status() == "" })
	})
}

// present leaves out columns that no row has.
func present(cols []column, rows [][]*bench.Result) []column {
	return slices.DeleteFunc(slices.Clone(cols), func(c column) bool {
		return !slices.ContainsFunc(rows, func(g []*bench.Result) bool {
			_, ok := bench.Median(g, c.metric)
			return ok
		})
	})
}

func workloadSection(name string, rows [][]*bench.Result) section {
	cols := present(columns[name], rows)
	s := section{head: headOf(cols, name, "system", "of limit", "load", "others", "")}
	for _, g := range rows {
		cells := cellsOf(g, cols, strings.TrimPrefix(title(g[0]), name+" "), systemOf(g[0]))
		s.rows = append(s.rows, append(cells, withLimit(g), cell(g, "load_avg"), cell(g, "other_cpus"), mark(g)))
	}
	return s
}

func limitSection(f *bench.File) section {
	s := section{head: headOf(limitColumns, "limit", "body", "load", "others", "")}
	for i := range f.Results {
		r := &f.Results[i]
		if r.System != bench.SystemLimit {
			continue
		}
		g := []*bench.Result{r}
		cells := cellsOf(g, limitColumns, r.Workload, fmt.Sprint(r.Params["body"]))
		s.rows = append(s.rows, append(cells, cell(g, "load_avg"), cell(g, "other_cpus"), mark(g)))
	}
	return s
}

// headOf puts the heads of cols behind the first two of names.
func headOf(cols []column, names ...string) []string {
	out := slices.Clone(names[:2])
	for _, c := range cols {
		out = append(out, c.head)
	}
	return append(out, names[2:]...)
}

func cellsOf(g []*bench.Result, cols []column, names ...string) []string {
	for _, c := range cols {
		names = append(names, cell(g, c.metric))
	}
	return names
}

func systemOf(r *bench.Result) string {
	if r.Params["mode"] == "stock" {
		return r.System + " (stock)"
	}
	return r.System
}

func cell(g []*bench.Result, metric string) string {
	v, ok := bench.Median(g, metric)
	if !ok {
		return "-"
	}
	return format(metric, v)
}

func withLimit(g []*bench.Result) string {
	v := cell(g, "limit_fraction")
	for _, r := range g {
		if name, ok := r.Params["limit"].(string); ok {
			v += " " + name
			break
		}
	}
	if f, _ := bench.Median(g, "limit_fraction"); f > 1 {
		v += ", disturbed" // a bound that was passed was measured at a bad moment, twice
	}
	return v
}

// mark warns of runs that were disturbed.
func mark(g []*bench.Result) string {
	if slices.ContainsFunc(g, func(r *bench.Result) bool { return r.Loaded() }) {
		return "!"
	}
	return ""
}

// machine is the first line of a report.
func machine(f *bench.File) string {
	m := f.Machine
	return fmt.Sprintf("%s, %d cores, %s, %s %s, %s; revision %s, %s", m.CPU, m.Cores, bytesOf(float64(m.MemoryBytes)), m.OS, m.Kernel, m.FileSystem,
		f.Revision, f.Date.UTC().Format("2006-01-02 15:04 MST"))
}

// partly names the systems whose waiting messages were checked in part only.
func partly(f *bench.File) []string {
	var out []string
	for i := range f.Results {
		r := &f.Results[i]
		how, ok := r.Params["checked"].(string)
		if !ok || how == "read back" || r.Status() != "" {
			continue
		}
		if one := systemOf(r) + " (" + how + ")"; !slices.Contains(out, one) {
			out = append(out, one)
		}
	}
	return out
}

// remarks say what failed, what was skipped, what was disturbed and what was not
// checked whole.
func remarks(f *bench.File) []string {
	var out []string
	if p := partly(f); len(p) > 0 {
		out = append(out, "What waits cannot be read back, or not all of it, from: "+strings.Join(p, ", ")+".")
	}
	disturbed := 0
	for i := range f.Results {
		r := &f.Results[i]
		if r.Loaded() {
			disturbed++
		}
		if s := r.Status(); s != "" {
			out = append(out, fmt.Sprintf("%s: %s: %s", systemOf(r), title(r), s))
		}
	}
	if disturbed > 0 {
		out = append(out, "! The machine was busy with other work during "+plural(disturbed, "run")+": of these trust CPU time, bytes and ratios, not seconds.")
	}
	return slices.Compact(out)
}

// Table writes all results for people: the tables, and what did not run. A row
// of runs that others disturbed ends in an exclamation mark.
func Table(w io.Writer, f *bench.File) error {
	p := &printer{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	p.line("%s", machine(f))
	for _, s := range sections(f) {
		p.line("")
		p.row(s.head...)
		for _, cells := range s.rows {
			p.row(cells...)
		}
	}
	for _, r := range remarks(f) {
		p.line("\n%s", r)
	}
	return p.flush()
}

// Markdown writes the same as Table for a document.
func Markdown(w io.Writer, f *bench.File) error {
	var s strings.Builder
	s.WriteString(machine(f) + "\n")
	for _, t := range sections(f) {
		fmt.Fprintf(&s, "\n| %s |\n|---|---%s|\n", strings.Join(t.head, " | "), strings.Repeat("|--:", len(t.head)-2))
		for _, cells := range t.rows {
			fmt.Fprintf(&s, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	for _, r := range remarks(f) {
		fmt.Fprintf(&s, "\n%s\n", r)
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// printer keeps the first error.
type printer struct {
	w   *tabwriter.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// row writes cells; a tab ends the last one too, or it would not be aligned.
func (p *printer) row(cells ...string) { p.line("%s\t", strings.Join(cells, "\t")) }

func (p *printer) flush() error {
	if err := p.w.Flush(); p.err == nil {
		p.err = err
	}
	return p.err
}
