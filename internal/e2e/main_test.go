package e2e

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(mainOf(m)) }

// mainOf builds duelogd and runs the tests: many at a time, because they wait
// for messages more than they compute. It prints what was skipped also without
// -v, where go test in this folder shows it.
func mainOf(m *testing.M) int {
	flag.Parse()
	flag.Set("test.parallel", "64")
	dir, err := os.MkdirTemp("", "duelog-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := buildAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	for _, reason := range skipped() {
		fmt.Println("skipped, because", reason)
	}
	return code
}
