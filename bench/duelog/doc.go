// Package duelog makes bench.Systems of duelog itself, in three shapes:
//
//	Daemon    duelogd as a child process, driven over the wire: what users get
//	Embedded  package store inside this process: the engine without the network
//	Remote    a broker that runs already, duelogd or another, at an address
//
// Daemon and Remote use the client of package wire. Only Daemon can be killed.
package duelog

import (
	"github.com/duelog/duelog/bench"
)

// topicName and queues are those of every system here.
const (
	topicName = "bench"
	queues    = 8
)

// Systems returns the shapes of duelog by name. program returns the path of a
// duelogd binary; it is called when one is needed.
func Systems(program func() (string, error)) bench.Systems {
	daemon := func(name, flush string) bench.Constructor {
		return func(bench.Mode) (bench.System, error) {
			path, err := program()
			if err != nil {
				return nil, err
			}
			return &Daemon{name: name, path: path, flush: flush}, nil
		}
	}
	return bench.Systems{
		// Flushing before the acknowledgement is the default too, so the modes agree.
		"duelog":         daemon("duelog", "sync"),
		"duelog-async":   daemon("duelog-async", "async"),
		"embedded":       func(bench.Mode) (bench.System, error) { return &Embedded{name: "embedded"}, nil },
		"embedded-async": func(bench.Mode) (bench.System, error) { return &Embedded{name: "embedded-async", async: true}, nil },
	}
}
