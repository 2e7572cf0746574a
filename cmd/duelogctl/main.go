// Command duelogctl looks into duelog's stores and talks to its brokers: it
// shows, verifies, repairs and explains what is on disk, and schedules, tails
// and counts what is on its way.
//
//	duelogctl --help             the verbs and the exit codes
//
// See package tools for what every verb has in common.
package main

import (
	"context"
	"os"

	"github.com/duelog/duelog/tools"
)

func main() {
	os.Exit(tools.Execute(context.Background(), os.Args[1:], tools.Process{
		In:      os.Stdin,
		Out:     os.Stdout,
		Err:     os.Stderr,
		Environ: os.Environ(),
	}))
}
