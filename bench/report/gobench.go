package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/duelog/duelog/bench"
)

// GoBench writes one line per result in the Go benchmark format, each repetition
// on its own line, so that benchstat compares two runs:
//
//	BenchmarkSend/system=duelog/body=1024/... 200000 5102 ns/op 196000 send_per_s ...
func GoBench(w io.Writer, f *bench.File) error {
	if _, err := fmt.Fprintf(w, "goos: %s\ngoarch: %s\ncpu: %s\n", f.Machine.OS, f.Machine.Arch, f.Machine.CPU); err != nil {
		return err
	}
	for i := range f.Results {
		r := &f.Results[i]
		if r.Status() != "" {
			continue
		}
		if _, err := fmt.Fprintln(w, benchLine(r)); err != nil {
			return err
		}
	}
	return nil
}

func benchLine(r *bench.Result) string {
	var s strings.Builder
	s.WriteString("Benchmark" + strings.ToUpper(r.Workload[:1]) + word(r.Workload[1:]))
	for part := range strings.SplitSeq(strings.ReplaceAll(r.Key(), r.System+"/"+r.Workload, "system="+r.System), " ") {
		s.WriteString("/" + word(part))
	}
	n := 1.0
	if v, ok := number(r.Params["n"]); ok {
		n = max(v, 1)
	}
	fmt.Fprintf(&s, " %.0f", n)
	if rate, ok := r.Metrics["send_per_s"]; ok && rate > 0 {
		fmt.Fprintf(&s, " %.1f ns/op", 1e9/rate)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Metrics)) {
		fmt.Fprintf(&s, " %g %s", r.Metrics[name], name)
	}
	return s.String()
}

// word makes s fit into the name of a benchmark.
func word(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return '_'
		}
		return r
	}, s)
}
