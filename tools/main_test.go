package tools

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecker{m}, map[string]func(){
		"duelogctl": func() {
			os.Exit(Execute(context.Background(), os.Args[1:], Process{
				In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(),
			}))
		},
	})
}

// leakChecker fails a run of tests that leaves goroutines.
type leakChecker struct{ m *testing.M }

func (l leakChecker) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString("leaked goroutines: " + err.Error() + "\n")
		return 1
	}
	return code
}
