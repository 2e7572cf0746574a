package tools

import (
	"context"
	"flag"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// peakEnv names the file into which a process writes what /proc says of it in the end.
const peakEnv = "DUELOG_TOOLS_STATUS"

func TestMain(m *testing.M) {
	testscript.Main(leakChecker{m}, map[string]func(){
		"duelogctl": func() {
			code := Execute(context.Background(), os.Args[1:], Process{
				In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(),
			})
			if path := os.Getenv(peakEnv); path != "" { // a benchmark wants to know how much memory it took
				status, _ := os.ReadFile("/proc/self/status")
				_ = os.WriteFile(path, status, 0o644)
			}
			os.Exit(code)
		},
	})
}

// tempInMemory has the temporary directories of tests in memory if possible, so that
// thousands of syncs cost nothing; undo removes what is left of them.
func tempInMemory() (undo func()) {
	dir, err := os.MkdirTemp("/dev/shm", "duelog-tools-test")
	if err != nil || os.Setenv("TMPDIR", dir) != nil {
		return func() {}
	}
	return func() { _ = os.RemoveAll(dir) }
}

// leakChecker fails a run of tests that leaves goroutines.
type leakChecker struct{ m *testing.M }

func (l leakChecker) Run() int {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		defer tempInMemory()()
	}
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString("leaked goroutines: " + err.Error() + "\n")
		return 1
	}
	return code
}
