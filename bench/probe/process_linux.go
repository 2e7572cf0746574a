package probe

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of CPU times in /proc: USER_HZ is 100 on every architecture
// that Go runs on.
const tick = 10 * time.Millisecond

// Processes returns the usage of the processes pids and all their descendants,
// each counted once. A process that is gone counts as nothing.
func Processes(pids ...int) (Usage, error) {
	var u Usage
	for _, pid := range family(pids) {
		one, err := process(pid)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			return Usage{}, fmt.Errorf("read usage of process %d: %w", pid, err)
		}
		u.CPU += one.CPU
		u.RSS += one.RSS
		u.AnonRSS += one.AnonRSS
		if one.WrittenBytes == Unknown || u.WrittenBytes == Unknown {
			u.WrittenBytes = Unknown
		} else {
			u.WrittenBytes += one.WrittenBytes
		}
	}
	return u, nil
}

// Self returns the usage of this process alone, without children.
func Self() (Usage, error) {
	u, err := process(os.Getpid())
	if err != nil {
		return Usage{}, err
	}
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return Usage{}, fmt.Errorf("read own usage: %w", err)
	}
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	return u, nil
}

// family returns pids and all their descendants.
func family(pids []int) []int {
	all := slices.Clone(pids)
	for i := 0; i < len(all); i++ {
		for _, child := range children(all[i]) {
			if !slices.Contains(all, child) {
				all = append(all, child)
			}
		}
	}
	return all
}

// children lists the children of all threads of pid; a child belongs to the
// thread that made it.
func children(pid int) []int {
	dir := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(dir)
	if err != nil {
		return nil // it is gone
	}
	var out []int
	for _, t := range threads {
		list, err := os.ReadFile(dir + "/" + t.Name() + "/children")
		if err != nil {
			continue
		}
		for _, f := range bytes.Fields(list) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

func process(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	own, children, err := parseCPU(stat)
	if err != nil {
		return Usage{}, err
	}
	if exact, ok := cpuClock(pid); ok {
		own = exact
	}
	u.CPU = own + children
	u.RSS, u.AnonRSS = memory(dir)
	u.WrittenBytes = written(dir)
	return u, nil
}

// cpuClock reads the CPU time of all threads of a process to the nanosecond,
// where ticks are too coarse for a short run. The number of the clock is part of
// the kernel's interface: see clock_getcpuclockid(3).
func cpuClock(pid int) (time.Duration, bool) {
	const scheduled = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}

// parseCPU returns utime and stime, and those of waited-for children: fields 14 to
// 17. The name in field 2 may hold anything, so fields are counted from the last
// parenthesis.
func parseCPU(stat []byte) (own, children time.Duration, err error) {
	end := bytes.LastIndexByte(stat, ')')
	f := bytes.Fields(stat[end+1:])
	const utime = 14 - 3 // field 3 is the first one behind the name
	if end < 0 || len(f) < utime+4 {
		return 0, 0, errors.New("unexpected form of stat")
	}
	var times [4]time.Duration
	for i := range times {
		n, err := strconv.ParseInt(string(f[utime+i]), 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("unexpected form of stat: %w", err)
		}
		times[i] = time.Duration(n) * tick
	}
	return times[0] + times[1], times[2] + times[3], nil
}

// memory prefers the proportional set size, which counts pages that processes
// share once, and falls back on the resident set of status.
func memory(dir string) (rss, anon int64) {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return 0, 0
	}
	rss, anon = kilobytes(status, "VmRSS:"), kilobytes(status, "RssAnon:")
	if rollup, err := os.ReadFile(dir + "/smaps_rollup"); err == nil {
		if pss := kilobytes(rollup, "Pss:"); pss > 0 {
			rss = pss
		}
	}
	return rss, anon
}

// kilobytes returns the value of the line that begins with label, in bytes.
func kilobytes(text []byte, label string) int64 {
	return 1024 * max(value(text, label), 0)
}

// value returns the first number of the line that begins with label, or Unknown.
func value(text []byte, label string) int64 {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(label))
		if f := bytes.Fields(rest); ok && len(f) > 0 {
			if n, err := strconv.ParseInt(string(f[0]), 10, 64); err == nil {
				return n
			}
		}
	}
	return Unknown
}

// written is what the process caused to be written to storage. The kernel counts
// a page when it gets dirty, so it need not have been written yet.
func written(dir string) int64 {
	io, err := os.ReadFile(dir + "/io")
	if err != nil {
		return Unknown
	}
	n := value(io, "write_bytes:")
	if n == Unknown {
		return Unknown
	}
	return n - max(value(io, "cancelled_write_bytes:"), 0)
}
