// Command duelog-bench measures duelog, other schedulers of messages and the
// limits of the machine, in one run.
//
//	duelog-bench run --short     everything, small
//	duelog-bench --help          the workloads, and what else there is
//
// See package bench for what is measured and how.
package main

import (
	"context"
	"os"

	"github.com/duelog/duelog/bench/command"
	"github.com/duelog/duelog/bench/peers"
)

// revision is set by the linker (-X main.revision=...), for a build with -buildvcs=false.
var revision string

func main() {
	os.Exit(command.Execute(context.Background(), os.Args[1:], command.Process{
		Out:      os.Stdout,
		Err:      os.Stderr,
		Peers:    peers.Systems(),
		Install:  peers.Install,
		Revision: revision,
	}))
}
