package store

import (
	goflag "flag"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The simulation runs a whole store through operations of all kinds beside a
// model of what it promises: puts of every delay, clocks that go on and jump,
// crashes of the process and of the machine at any operation on the disk, clean
// restarts with other options, deleted topics, retention. Time is fake, so years
// pass in seconds. A plain go test does a few short runs; make simulate does
// many long ones, as does
//
//	go test ./store -run 'Simulation' -rapid.checks=1000 -rapid.steps=100
//
// A failure prints the choices that lead to it, and rapid writes them to a file
// that it can replay; with DUELOG_SIM_VERBOSE=1 standard error has them as operations,
// as they happen: what several goroutines do at once is not the same each time.
//
//	simulate_linux_test.go    what happens: operations drawn by rapid
//	sim_linux_test.go         the store under test and the model, operation by operation
//	simcheck_linux_test.go    what must hold after each
//	simkeys_linux_test.go     keys lead to messages, by Lookup and State
//	simcancel_linux_test.go   messages that are cancelled, and the list of those that wait
//	simfar_linux_test.go      messages that move to cold files, fire late, and the end of their retention
//	simrate_linux_test.go     how fast messages fire
//	simfull_linux_test.go     a disk without space for a while
//	simcrash_linux_test.go    its end and its new start
//	simdisk_linux_test.go     the disk: what a kill and a power loss leave
//	simsweep_linux_test.go    a fixed story with a crash at every operation on the disk,
//	                          and the same operations under different options

// simScale sets how much rapid does unless the command line says it.
func simScale(t *testing.T, checks, steps int) {
	for name, n := range map[string]int{"checks": checks, "steps": steps} {
		f := goflag.Lookup("rapid." + name)
		if f.Value.String() != f.DefValue || os.Getenv("RAPID_"+strings.ToUpper(name)) != "" {
			continue
		}
		require.NoError(t, f.Value.Set(strconv.Itoa(n)))
		t.Cleanup(func() { _ = f.Value.Set(f.DefValue) })
	}
}

func TestSimulation(t *testing.T) {
	simScale(t, 4, 15)
	rapid.Check(t, func(rt *rapid.T) {
		dir := simDir(rt)
		rapid.SyncTest(rt, func(rt *rapid.T) {
			choose := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(rt, what) }
			o := simOptions(choose)
			simSizes(&o, choose)
			m := startSim(rt, dir, rapid.Uint64().Draw(rt, "seed"), o)
			defer m.end()
			m.open()
			rt.Repeat(map[string]func(*rapid.T){
				"operation": func(*rapid.T) { m.operate(simOperation(choose), choose) },
			})
			m.finish()
		})
	})
}

// simOp is one operation of the simulation.
type simOp struct {
	kind   string
	queue  queueKey
	n      int
	delays []int64
	size   int
	ahead  time.Duration
	fuse   int // operations on the disk until a crash; 0 = no crash
	power  bool
	again  int   // operations until recovery crashes too; 0 = it does not
	meddle bool  // checkpoints are written while messages become visible
	moving int   // messages that are cancelled on their way to a cold file
	late   int64 // ms after its time that a message fires
	same   bool  // the options stay as they are
	any    bool  // not only pending messages are cancelled
	// The disk finds space for so many operations less one, and then none for dearth; 0 = enough.
	space  int
	dearth time.Duration
	strict bool // also for writes into what was allocated
}

// simKinds are the kinds of operations, each as often as it is to happen.
var simKinds = []string{
	"put", "put", "put", "put", "put", "burst", "advance", "advance", "advance", "step", "checkpoint", "flush index",
	"retain", "expire", "delete", "reopen", "crash", "crash", "full", "cancel", "cancel", "cancel late", "evacuate", "late", "eve",
}

// simDelays are the delays in ms from which puts choose, and each may be a little more.
var simDelays = []int64{
	-5000, 0, 1, 10, 500, 3000, 90_000, 3600_000, 7200_000, 3 * 3600_000, 24 * 3600_000, 90 * 3600_000, 97 * 3600_000, 30 * 24 * 3600_000, 366 * 24 * 3600_000,
}

// simAheads are the times that pass at once.
var simAheads = []time.Duration{
	time.Millisecond, 50 * time.Millisecond, time.Second, 5 * time.Second, 2 * time.Minute, time.Hour, 5 * time.Hour, 30 * time.Hour,
}

func simOperation(choose func(n int, what string) int) simOp {
	op := simOp{kind: simKinds[choose(len(simKinds), "kind")]}
	if op.kind == "crash" {
		op = simOperation(choose) // in the middle of which it happens
		op.fuse = 1 + choose(40, "fuse")*(1+10*choose(2, "longer"))
		op.power = choose(2, "power") == 1
		op.again = max(choose(60, "again")-30, 0)
		op.space = 0
		return op
	}
	if op.kind == "full" {
		op = simOperation(choose)
		op.space, op.fuse = 1+choose(12, "space"), 0
		op.strict = choose(3, "strict") == 0
		op.dearth = simAheads[choose(len(simAheads), "dearth")]
		return op
	}
	switch op.kind {
	case "put", "burst":
		op.queue = queueKey{[]string{"a", "b"}[choose(2, "topic")], int32(choose(2, "queue"))}
		op.n, op.size = 1+choose(5, "n"), 8+choose(3000, "size")
		for range op.n {
			op.delays = append(op.delays, simDelays[choose(len(simDelays), "delay")]+int64(choose(3, "ms")))
		}
		if op.kind == "burst" {
			op.n, op.size = 1+choose(1500, "more"), 8
			apart := int64(choose(2, "apart"))
			for i := range op.delays { // all in one second, or in one millisecond
				op.delays[i] = op.delays[0] + int64(i)*apart
			}
		}
	case "evacuate":
		op.queue = queueKey{[]string{"a", "b"}[choose(2, "topic")], int32(choose(2, "queue"))}
		op.n, op.size, op.moving = 10+choose(60, "n"), 8+choose(3000, "size"), choose(4, "moving")
		for range 1 + choose(4, "delays") {
			op.delays = append(op.delays, simFarDelays[choose(len(simFarDelays), "delay")])
		}
		op.ahead = []time.Duration{0, 0, 60 * time.Hour, 80 * time.Hour, 96 * time.Hour}[choose(5, "ahead")]
	case "late":
		op.size, op.late = choose(5000, "from"), simLates[choose(len(simLates), "late")]
	case "eve":
		op.n = 1 + choose(3, "n")
	case "cancel", "cancel late":
		op.queue = queueKey{[]string{"a", "b"}[choose(2, "topic")], int32(choose(2, "queue"))}
		op.n, op.size, op.any = 1+choose(40, "n"), choose(5000, "from"), choose(3, "any") == 0
	case "advance":
		op.ahead = simAheads[choose(len(simAheads), "ahead")]
		op.meddle = choose(3, "meddle") == 0
	case "step":
		op.ahead = simAheads[choose(len(simAheads), "ahead")]
		switch choose(4, "direction") {
		case 0:
			op.ahead = -op.ahead
		case 1:
			op.ahead *= 100
		}
	case "delete":
		op.queue.topic = []string{"a", "b"}[choose(2, "topic")]
	}
	return op
}

// operate does one operation and checks what came of it.
func (m *sim) operate(op simOp, choose func(n int, what string) int) {
	m.step++
	m.trace("step %d: %+v", m.step, op)
	if op.fuse > 0 {
		m.disk.setFuse(op.fuse)
	}
	if op.space > 0 {
		m.whileFull(op, choose)
	} else {
		m.perform(op, choose)
	}
	m.verify()
	if op.fuse > 0 {
		m.crash(op.power, op.again)
		m.verify()
	}
	m.payloadsStay()
}

func (m *sim) perform(op simOp, choose func(n int, what string) int) {
	switch op.kind {
	case "put", "burst":
		m.put(op.queue, op.n, op.delays, op.size)
	case "evacuate":
		m.evacuate(op)
	case "late":
		m.late(op.size, op.late)
	case "eve":
		m.eve(op.n)
	case "cancel":
		m.cancel(op.size, op.n, op.any)
	case "cancel late":
		m.cancelLate(op.queue, op.n)
	case "advance":
		if op.meddle {
			defer m.meddle()()
		}
		m.advance(op.ahead)
	case "step":
		m.setClock(op.ahead)
	case "checkpoint":
		m.checkpoint()
	case "flush index":
		m.flushIndex()
	case "retain":
		m.retain()
	case "expire":
		m.expire()
	case "delete":
		m.deleteTopic(op.queue.topic)
	case "reopen":
		if op.same {
			m.reopen(m.opts)
			return
		}
		o := simOptions(choose)
		o.SegmentSize, o.DelaySegmentSize, o.JournalSegmentSize = m.opts.SegmentSize, m.opts.DelaySegmentSize, m.opts.JournalSegmentSize
		m.reopen(o)
	}
}
