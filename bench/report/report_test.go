package report

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
)

var update = flag.Bool("update", false, "write golden files anew")

func sample(t *testing.T) *bench.File {
	t.Helper()
	f, err := bench.ReadFile(filepath.Join("testdata", "results.json"))
	require.NoError(t, err)
	return f
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, Table(&out, sample(t)))
	golden(t, "table.txt", out.Bytes())
}

// A rate means nothing without the loop that offered it.
func TestATitleNamesTheLoop(t *testing.T) {
	p := map[string]any{"mix": "year", "publishers": 2, "window": 1000, "batch": 0, "loop": "closed"}
	require.Equal(t, "send year, closed 2x1000", title(&bench.Result{Workload: "send", Params: p}))
	p["window"] = 1
	require.Equal(t, "send year, closed sync x2", title(&bench.Result{Workload: "send", Params: p}))
	p["loop"], p["rate"] = "open", 300
	require.Equal(t, "send year, sync x2 at 300/s", title(&bench.Result{Workload: "send", Params: p}))
}

func TestTheCurveOfScaleIsJudgedFromEndToEnd(t *testing.T) {
	at := func(system string, n, rss, append float64) []*bench.Result {
		return []*bench.Result{{
			System: system, Workload: "scale", Params: map[string]any{"n": n},
			Metrics: map[string]float64{"rss_bytes": rss, "append_ns": append},
		}}
	}
	s := growthSection([][]*bench.Result{
		at("duelog", 1e6, 300, 40), at("redis", 1e3, 10, 5), at("duelog", 1e4, 100, 50), at("duelog", 1e5, 900, 90),
		at("nats", 1e3, 1e3, 1), at("nats", 1e4, 10e3, 1),
	})
	require.Equal(t, [][]string{
		{"10k to 1M pending", "duelog", "0.80", "-", "3.00", "-", "-", "100", "0.00"},
		{"1k to 10k pending", "nats", "1.00", "-", "10.0", "-", "-", "10.0", "1.00"},
	}, s.rows, "one size is no curve")
	require.Len(t, s.head, len(s.rows[0]))
}

func TestMarkdown(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, Markdown(&out, sample(t)))
	golden(t, "table.md", out.Bytes())
}

func TestGoBench(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, GoBench(&out, sample(t)))
	golden(t, "bench.txt", out.Bytes())
	line := regexp.MustCompile(`^Benchmark[^ ]+ \d+( [^ ]+ [^ ]+)+$`)
	n := 0
	for l := range strings.Lines(out.String()) {
		if strings.HasPrefix(l, "Benchmark") {
			require.Regexp(t, line, strings.TrimSpace(l))
			n++
		}
	}
	require.Positive(t, n)
}

func TestAFailedRunShowsNoFigure(t *testing.T) {
	f := sample(t)
	for i := range f.Results {
		f.Results[i].Params["status"] = "failed: messages lost 1"
	}
	var out bytes.Buffer
	require.NoError(t, Table(&out, f))
	require.NotContains(t, out.String(), "sent/s")
	require.Contains(t, out.String(), "messages lost 1")
}

func TestThePageStandsAlone(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, HTML(&out, sample(t)))
	s := out.String()
	require.Greater(t, strings.Count(s, "<svg"), 5)
	for _, foreign := range []string{"src=", "href=", "url(", "@import", "<script", "<link"} {
		require.NotContains(t, s, foreign)
	}
	require.Equal(t, strings.Count(s, "http"), strings.Count(s, `xmlns="http://www.w3.org/2000/svg"`), "no address but the name of SVG")
}

func TestFiguresAreWellFormed(t *testing.T) {
	cs := charts(sample(t))
	require.NotEmpty(t, cs)
	names := map[string]bool{}
	for _, c := range cs {
		c.title += ` <&">`
		svg, err := c.svg()
		require.NoError(t, err)
		for _, at := range regexp.MustCompile(`[ML]([-\d.]+) ([-\d.]+)`).FindAllStringSubmatch(svg, -1) {
			var x, y float64
			_, err := fmt.Sscan(at[1], &x)
			require.NoError(t, err)
			_, err = fmt.Sscan(at[2], &y)
			require.NoError(t, err)
			require.True(t, x >= 0 && x <= svgWidth && y >= 0 && y <= svgHeight, "%s: a point at %v,%v", c.name, x, y)
		}
		require.NotContains(t, svg, "NaN")
		require.NotContains(t, svg, "Inf")
		for d := xml.NewDecoder(strings.NewReader(svg)); ; {
			if _, err := d.Token(); err != nil {
				require.ErrorIs(t, err, io.EOF, c.name)
				break
			}
		}
		require.False(t, names[c.name], "two figures are called %s", c.name)
		names[c.name] = true
	}
}

func TestPNG(t *testing.T) {
	f := sample(t)
	f.Results = slices.DeleteFunc(f.Results, func(r bench.Result) bool { return r.Workload != "fire" }) // a figure takes a while
	paths, err := PNG(filepath.Join(t.TempDir(), "figures"), f)
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, p := range paths {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(b, []byte("\x89PNG")))
	}
}

func TestComparisonShowsWhatGotWorseFirst(t *testing.T) {
	before, after := sample(t), sample(t)
	for i := range after.Results {
		after.Results[i].Metrics["cpu_us_per_msg"] *= 4
		after.Results[i].Metrics["send_per_s"] *= 4
	}
	var out bytes.Buffer
	require.NoError(t, Comparison(&out, bench.Compare(before, after), false))
	require.Contains(t, out.String(), "WORSE")
	require.Contains(t, out.String(), "better")
	require.NotContains(t, out.String(), "  same  ")
	require.Less(t, strings.Index(out.String(), "WORSE"), strings.Index(out.String(), "better"))
	out.Reset()
	require.NoError(t, Comparison(&out, bench.Compare(before, after), true))
	require.Contains(t, out.String(), "  same  ")
}

func TestAxesEndAtRoundNumbers(t *testing.T) {
	require.Equal(t, axis{0, 100, false}, newAxis(0, 97, false))
	require.Equal(t, []float64{0, 20, 40, 60, 80, 100}, newAxis(0, 97, false).ticks())
	require.Len(t, newAxis(0.5, 200, true).ticks(), 5)
	require.Zero(t, newAxis(0.5, 200, true).at(0), "what a logarithm has no place for stands at the edge")
	require.NotEqual(t, newAxis(5, 5, true).from, newAxis(5, 5, true).to)
	require.Equal(t, "2.5M", tickLabel(2_500_000))
}
