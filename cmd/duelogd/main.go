// Command duelogd runs a message broker for scheduled messages, with its name
// server, in one process. RocketMQ clients use it unmodified.
//
//	duelogd --help           every setting, by flag, environment and file
//	duelogd --print-config   what would hold, and from where
//	duelogd version
//
// See package server for the life of the process and its exit codes.
package main

import (
	"context"
	"os"

	"github.com/duelog/duelog/server"
)

func main() {
	err := server.Execute(context.Background(), os.Args[1:], server.Process{
		Out:     os.Stdout,
		Err:     os.Stderr,
		Environ: os.Environ(),
		Exit:    os.Exit,
	})
	os.Exit(server.ExitCode(err))
}
