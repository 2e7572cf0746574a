package tools

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// formats are the values of --output.
var formats = []string{"table", "json", "jsonl", "csv", "yaml"}

// table prints rows under stable column names, in the form of --output. Rows go
// out as they come; only the table for people waits for the first of them, to
// know how wide its columns are.
//
// A cell is a string, a number, a bool, a time.Time, or one of the types of
// value.go; nil is a cell without a value. It may be a view of memory that is used
// again after row returns. In the forms for programs a verb prints one table only.
type table struct {
	e       *env
	columns []string
	form    rowWriter
	none    string // what people are told if there is no row; "" is nothing
	any     bool
}

// rowWriter is one form of output.
type rowWriter interface {
	begin(columns []string)
	row(columns []string, cells []any)
	flush() // what was kept back
	end()
}

// table begins a table. Close it.
func (e *env) table(columns ...string) *table {
	t := &table{e: e, columns: columns}
	switch e.format {
	case "json":
		t.form = &jsonRows{w: e.out}
	case "jsonl":
		t.form = &jsonRows{w: e.out, lines: true}
	case "csv":
		t.form = &csvRows{w: csv.NewWriter(e.out)}
	case "yaml":
		t.form = &yamlRows{w: e.out}
	default:
		t.form = &textRows{e: e}
	}
	t.form.begin(columns)
	return t
}

// row prints one row; there are as many cells as columns.
func (t *table) row(cells ...any) {
	if len(cells) != len(t.columns) {
		panic(fmt.Sprintf("BUG: %d cells in a table of %d columns", len(cells), len(t.columns)))
	}
	t.any = true
	t.form.row(t.columns, cells)
}

// orSay has people told why there is no row, if there is none.
func (t *table) orSay(format string, args ...any) *table {
	t.none = fmt.Sprintf(format, args...)
	return t
}

// flush prints what is known so far, for a verb that waits for more.
func (t *table) flush() {
	t.form.flush()
	t.e.out.flush()
}

// close ends the table and returns the first error of writing results.
func (t *table) close() error {
	t.form.end()
	if !t.any && t.none != "" && t.e.forPeople() {
		t.e.note("%s", t.none)
	}
	return t.e.out.err()
}

// jsonRows prints an array of objects, or an object per line.
type jsonRows struct {
	w     *results
	lines bool
	any   bool
	buf   bytes.Buffer
}

func (j *jsonRows) begin([]string) {}

func (j *jsonRows) row(columns []string, cells []any) {
	j.buf.Reset()
	switch {
	case j.lines:
	case j.any:
		j.buf.WriteString(",\n  ")
	default:
		j.buf.WriteString("[\n  ")
	}
	j.any = true
	for i, name := range columns {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		j.buf.WriteByte(sep)
		j.put(name)
		j.buf.WriteByte(':')
		j.put(machine(cells[i]))
	}
	j.buf.WriteByte('}')
	if j.lines {
		j.buf.WriteByte('\n')
	}
	_, _ = j.w.Write(j.buf.Bytes())
}

// put appends a value as JSON, without escaping what only HTML minds.
func (j *jsonRows) put(v any) {
	enc := json.NewEncoder(&j.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("BUG: cell is no JSON: " + err.Error())
	}
	j.buf.Truncate(j.buf.Len() - 1) // the newline
}

func (j *jsonRows) flush() {}

func (j *jsonRows) end() {
	switch {
	case j.lines:
	case j.any:
		fmt.Fprint(j.w, "\n]\n")
	default:
		fmt.Fprint(j.w, "[]\n")
	}
}

// csvRows prints RFC 4180 with a header line.
type csvRows struct {
	w    *csv.Writer
	line []string
}

func (c *csvRows) begin(columns []string) { _ = c.w.Write(columns) } // results remembers errors

func (c *csvRows) row(_ []string, cells []any) {
	c.line = c.line[:0]
	for _, v := range cells {
		c.line = append(c.line, plainText(v))
	}
	_ = c.w.Write(c.line)
}

func (c *csvRows) flush() { c.w.Flush() }
func (c *csvRows) end()   { c.w.Flush() }

// yamlRows prints a sequence of mappings.
type yamlRows struct {
	w   *results
	any bool
}

func (y *yamlRows) begin([]string) {}

func (y *yamlRows) row(columns []string, cells []any) {
	y.any = true
	row := &yaml.Node{Kind: yaml.MappingNode}
	for i, name := range columns {
		var key, value yaml.Node
		key.SetString(name)
		if err := value.Encode(yamlValue(machine(cells[i]))); err != nil {
			panic("BUG: cell is no YAML: " + err.Error())
		}
		row.Content = append(row.Content, &key, &value)
	}
	enc := yaml.NewEncoder(y.w)
	enc.SetIndent(2)
	_ = enc.Encode([]*yaml.Node{row})
	_ = enc.Close()
}

// yamlValue shows JSON as the YAML that it is too, in its own order and numbers. The
// few escapes that only JSON has leave it a text.
func yamlValue(v any) any {
	raw, ok := v.(json.RawMessage)
	if !ok {
		return v
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(raw, &doc); err != nil || len(doc.Content) != 1 {
		return string(raw)
	}
	return doc.Content[0]
}

func (y *yamlRows) flush() {}

func (y *yamlRows) end() {
	if !y.any {
		fmt.Fprint(y.w, "[]\n")
	}
}

// widthRows is how many rows the table for people waits for.
const widthRows = 1000

// textRows prints aligned columns.
type textRows struct {
	e       *env
	kept    [][]any
	columns []string
	widths  []int // nil until they are known
	right   []bool
}

func (x *textRows) begin(columns []string) { x.columns = columns }

func (x *textRows) row(_ []string, cells []any) {
	if x.widths != nil {
		x.print(cells)
		return
	}
	own := make([]any, len(cells))
	for i, v := range cells {
		own[i] = kept(v)
	}
	x.kept = append(x.kept, own)
	if len(x.kept) >= widthRows {
		x.flush()
	}
}

func (x *textRows) flush() {
	if x.widths == nil && len(x.kept) > 0 {
		x.measure()
		x.header()
	}
	for _, cells := range x.kept {
		x.print(cells)
	}
	x.kept = nil
}

func (x *textRows) end() { x.flush() }

func (x *textRows) measure() {
	x.widths = make([]int, len(x.columns))
	x.right = make([]bool, len(x.columns))
	for i, name := range x.columns {
		x.widths[i] = utf8.RuneCountInString(name)
		for _, cells := range x.kept {
			x.widths[i] = max(x.widths[i], utf8.RuneCountInString(humanText(cells[i])))
		}
		x.right[i] = !slices.ContainsFunc(x.kept, func(cells []any) bool { return cells[i] != nil && !isNumber(cells[i]) })
	}
}

func (x *textRows) header() {
	if x.e.quiet {
		return
	}
	cells := make([]any, len(x.columns))
	for i, name := range x.columns {
		cells[i] = styled{strings.ToUpper(name), bold}
	}
	x.print(cells)
}

func (x *textRows) print(cells []any) {
	var line strings.Builder
	for i, v := range cells {
		text := humanText(v)
		pad := strings.Repeat(" ", max(x.widths[i]-utf8.RuneCountInString(text), 0))
		painted := x.e.paint(styleOf(v), text)
		switch {
		case x.right[i]:
			line.WriteString(pad + painted)
		case i == len(cells)-1:
			line.WriteString(painted) // nothing to align behind the last one
		default:
			line.WriteString(painted + pad)
		}
		if i < len(cells)-1 {
			line.WriteString("  ")
		}
	}
	fmt.Fprintln(x.e.out, strings.TrimRight(line.String(), " "))
}
