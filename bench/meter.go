package bench

import (
	"runtime"
	"time"

	"github.com/duelog/duelog/bench/probe"
)

// meter reads what the system, this process and the machine have used, so that
// the difference of two readings tells what an interval cost. Where nothing can
// be read the figures are left out of the result.
type meter struct {
	place Place    // of the system
	pids  []int    // its roots, if it is Children
	names []string // of pids; nil: they are not told apart
}

// reading is one moment.
type reading struct {
	at     time.Time
	system probe.Usage
	roots  []time.Duration // CPU time of each of the system's roots with its descendants
	self   probe.Usage
	host   probe.Host
	ok     bool
}

func (m meter) read() reading {
	r := reading{at: time.Now()}
	self, errSelf := probe.Self()
	host, errHost := probe.ReadHost()
	r.self, r.host = self, host
	var err error
	switch m.place {
	case InProcess:
		r.system = self
	case Children:
		r.system, r.roots, err = m.readRoots()
	case Foreign:
		r.system = probe.Usage{RSS: probe.Unknown, AnonRSS: probe.Unknown, WrittenBytes: probe.Unknown}
	}
	r.ok = err == nil && errSelf == nil && errHost == nil
	return r
}

// readRoots returns the usage of all processes together, and the CPU time by root.
func (m meter) readRoots() (all probe.Usage, roots []time.Duration, err error) {
	if all, err = probe.Processes(m.pids...); err != nil {
		return all, nil, err
	}
	for i := range m.names {
		one, err := probe.Processes(m.pids[i])
		if err != nil {
			return all, nil, err
		}
		roots = append(roots, one.CPU)
	}
	return all, roots, nil
}

// interval is what happened between two readings.
type interval struct {
	took        time.Duration
	systemCPU   time.Duration            // 0 when the system is foreign
	selfCPU     time.Duration            // of the load generator; 0 when the system lives in it
	otherCPUs   float64                  // cores that neither of them kept busy, but others did; 0 when the system is foreign
	loadAvg     float64                  // at the start
	roots       map[string]time.Duration // systemCPU by name of root, of a system that names them
	ok          bool
	embedded    bool
	foreign     bool
	writtenDiff int64
}

// since returns the interval from the reading before to now.
func (m meter) since(before reading) interval {
	now := m.read()
	iv := interval{
		took:     now.at.Sub(before.at),
		loadAvg:  before.host.LoadAvg,
		ok:       before.ok && now.ok,
		embedded: m.place == InProcess,
		foreign:  m.place == Foreign,
	}
	used := now.system.Sub(before.system)
	iv.systemCPU, iv.writtenDiff = used.CPU, used.WrittenBytes
	if iv.ok && len(m.names) > 0 {
		iv.roots = map[string]time.Duration{}
		for i, name := range m.names {
			iv.roots[name] = now.roots[i] - before.roots[i]
		}
	}
	all := iv.systemCPU
	if !iv.embedded {
		iv.selfCPU = now.self.CPU - before.self.CPU
		all += iv.selfCPU
	}
	if iv.took > 0 && !iv.foreign {
		iv.otherCPUs = max((now.host.Busy-before.host.Busy-all).Seconds()/iv.took.Seconds(), 0)
	}
	return iv
}

// loaded says that others took so much of the machine that seconds mean little.
func (iv interval) loaded() bool {
	cores := float64(runtime.NumCPU())
	return iv.otherCPUs > cores*loadedShare
}

// loadedShare is the part of the machine from which on a run counts as disturbed.
const loadedShare = 0.1

// addTo writes the figures that every result has, and the CPU time per each of n
// messages. Of a foreign system that of the load generator is all that is known.
func (iv interval) addTo(r *Result, n int64) {
	if !iv.ok {
		return
	}
	r.Metrics["load_avg"] = iv.loadAvg
	if !iv.foreign {
		r.Metrics["other_cpus"] = iv.otherCPUs
	}
	if iv.loaded() {
		r.Params["loaded"] = true
	}
	iv.addCPU(r, "cpu_us_per_msg", n)
	for name, cpu := range iv.roots {
		if n > 0 {
			r.Metrics[name+"_cpu_us_per_msg"] = perMessage(cpu, n)
		}
	}
	if n > 0 && !iv.embedded {
		r.Metrics["client_cpu_us_per_msg"] = perMessage(iv.selfCPU, n)
	}
}

// addCPU writes the system's CPU time per each of n messages, if it is known.
func (iv interval) addCPU(r *Result, metric string, n int64) {
	if iv.ok && !iv.foreign && n > 0 {
		r.Metrics[metric] = perMessage(iv.systemCPU, n)
	}
}

func perMessage(cpu time.Duration, n int64) float64 {
	return float64(cpu.Nanoseconds()) / 1000 / float64(n)
}
