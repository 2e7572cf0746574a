package tools

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// printAs returns what a table of hostile cells looks like in one form.
func printAs(t *testing.T, format string) string {
	var out bytes.Buffer
	e := newEnv(Process{Out: &out, Err: &out})
	e.format = format
	tb := e.table("name", "n", "size", "at", "none")
	tb.row("plain", 1, byteCount(1536), time.UnixMilli(0).UTC(), nil)
	tb.row("a,\"b\"\n<\x1b\xff", -22, byteCount(0), time.UnixMilli(1500).UTC(), styled{"x", red})
	require.NoError(t, tb.close())
	return out.String()
}

func TestEveryFormHoldsTheSameCells(t *testing.T) {
	wantRows := []map[string]any{
		{"name": "plain", "n": 1, "size": 1536, "none": nil},
		{"name": "a,\"b\"\n<\x1b\uFFFD", "n": -22, "size": 0, "none": "x"},
	}
	check := func(rows []map[string]any) {
		require.Len(t, rows, 2)
		for i, want := range wantRows {
			delete(rows[i], "at")
			text, _ := json.Marshal(want)
			got, _ := json.Marshal(rows[i])
			require.JSONEq(t, string(text), string(got))
		}
	}
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(printAs(t, "json")), &rows))
	check(rows)

	rows = nil
	for line := range strings.Lines(printAs(t, "jsonl")) {
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		rows = append(rows, row)
	}
	check(rows)

	rows = nil
	require.NoError(t, yaml.Unmarshal([]byte(printAs(t, "yaml")), &rows))
	check(rows)

	lines, err := csv.NewReader(strings.NewReader(printAs(t, "csv"))).ReadAll()
	require.NoError(t, err)
	require.Equal(t, []string{"name", "n", "size", "at", "none"}, lines[0])
	require.Equal(t, "1536", lines[1][2])
	require.Equal(t, "a,\"b\"\n<\x1b\uFFFD", lines[2][0])
}

func TestTableForPeopleIsAlignedAndHarmless(t *testing.T) {
	lines := strings.Split(printAs(t, "table"), "\n")
	require.Regexp(t, `^NAME         N     SIZE  AT +NONE$`, lines[0])
	require.True(t, strings.HasPrefix(lines[1], "plain        1  1.5 KiB  "), lines[1])
	require.True(t, strings.HasPrefix(lines[2], `a,"b".<..  -22      0 B  `), lines[2])
	require.NotContains(t, lines[2], "\x1b")
}

// --body json is JSON in the forms that can hold it, and its text in the others.
func TestJSONBodiesInEveryForm(t *testing.T) {
	body := `{"n":12345678901234567890,"a":[1,"x"],"t":"\u00fc <"}`
	for format, want := range map[string]string{
		"table": "BODY\n" + body + "\n",
		"csv":   "body\n\"" + strings.ReplaceAll(body, `"`, `""`) + "\"\n",
		"json":  "[\n  {\"body\":" + body + "}\n]\n",
		"jsonl": "{\"body\":" + body + "}\n",
		"yaml":  "- body: {\"n\": 12345678901234567890, \"a\": [1, \"x\"], \"t\": \"\u00fc <\"}\n",
	} {
		var out bytes.Buffer
		e := newEnv(Process{Out: &out, Err: &out})
		e.format = format
		tb := e.table("body")
		tb.row(showBody("json", []byte(body)))
		require.NoError(t, tb.close())
		require.Equal(t, want, out.String(), format)
	}
}

func TestABodyIsShortenedForPeople(t *testing.T) {
	long := strings.Repeat("\u00fc", 1000)
	require.Equal(t, strings.Repeat("\u00fc", bodyWidth)+"... (2000 bytes)", humanText(showBody("text", []byte(long))))
	require.Equal(t, long, plainText(showBody("text", []byte(long))))
	require.Equal(t, "short", humanText(showBody("text", []byte("short"))))
}

// What a row was made of may be another row's by the time that it is printed.
func TestTheTableKeepsNoViews(t *testing.T) {
	var out bytes.Buffer
	e := newEnv(Process{Out: &out, Err: &out})
	e.format = "table"
	tb := e.table("a", "b", "c", "d")
	buf := []byte(`"x"`)
	view := unsafe.String(&buf[0], len(buf))
	tb.row(view, styled{view, red}, json.RawMessage(buf), showBody("json", buf))
	copy(buf, "...")
	require.NoError(t, tb.close())
	require.Equal(t, "A    B    C    D\n\"x\"  \"x\"  \"x\"  \"x\"\n", out.String())
}

func TestAnEmptyTableIsValidInEveryForm(t *testing.T) {
	for format, want := range map[string]string{"table": "", "json": "[]\n", "jsonl": "", "csv": "a,b\n", "yaml": "[]\n"} {
		var out bytes.Buffer
		e := newEnv(Process{Out: &out, Err: &out})
		e.format = format
		require.NoError(t, e.table("a", "b").close())
		require.Equal(t, want, out.String(), format)
	}
}

func TestColourIsForTerminalsThatWantIt(t *testing.T) {
	e := newEnv(Process{Out: &bytes.Buffer{}, Environ: []string{"TERM=xterm"}})
	e.format = "table"
	require.Equal(t, "x", e.paint(red, "x"))
	e.colour = true
	require.Equal(t, "\x1b[31mx\x1b[0m", e.paint(red, "x"))
	e.format = "csv"
	require.Equal(t, "x", e.paint(red, "x"))
}
