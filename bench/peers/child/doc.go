// Package child runs the servers that a measurement compares with: it starts
// them as child processes, waits until they take requests, and ends them and
// all their descendants for certain.
//
// A child gets a process group of its own, so that Ctrl-C in a terminal reaches
// the harness alone, which then closes what it started. On Linux a child is also
// killed by the kernel when the harness dies without closing it.
//
// What a child prints goes to a log file. An error about a child quotes the end
// of it, because that is where servers say why they did not start.
//
// A [Process] may be used by several goroutines.
package child
