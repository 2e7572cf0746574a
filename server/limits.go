package server

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// minProcs is the least GOMAXPROCS. A goroutine in a page fault or a slow
// system call holds its P for a while; with two Ps that delays the dispatcher's
// wake-up by milliseconds, with four it does not, even on two cores.
const minProcs = 4

// memoryShare is the part of the machine's memory (or the container's) after
// which the garbage collector works harder. The rest is left to the page cache,
// which holds the warm part of the store.
const memoryShare = 0.6

// tuneRuntime sets what the Go runtime would choose badly for a broker. What the
// operator set by GOMAXPROCS or GOMEMLIMIT is left alone.
func tuneRuntime(log *slog.Logger) {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < minProcs {
		runtime.GOMAXPROCS(minProcs)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if total := availableMemory(); total > 0 {
			debug.SetMemoryLimit(int64(float64(total) * memoryShare))
		}
	}
	log.Debug("runtime limits", "gomaxprocs", runtime.GOMAXPROCS(0), "gomemlimit", debug.SetMemoryLimit(-1))
}

// Bounds of maxConns, and the fewest descriptors that connections leave alone.
const (
	fewestConns = 16
	mostConns   = 10_000
	fewestFiles = 64
)

// maxConns is how many connections the process can afford. Each takes a file
// descriptor, and the store must never run out of them because of clients.
func maxConns() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return mostConns // Unknown: the default of every other server.
	}
	return connsWithin(limit.Cur)
}

// connsWithin keeps a quarter of so many descriptors for the store's files.
func connsWithin(descriptors uint64) int {
	kept := max(descriptors/4, fewestFiles)
	if descriptors < kept+fewestConns {
		return fewestConns
	}
	return int(min(descriptors-kept, mostConns))
}

// slowReaderBytes is what a peer that does not read may cost, beside the messages
// that it is owed: many such peers together must not take all memory.
const slowReaderBytes = 8 << 20

// maxOutBytes is how much may wait for one peer. Up to half of it an answer is
// taken whatever its length, so behind a message of the largest size there is still
// room for short answers; without it they would cost the peer its connection.
func maxOutBytes(maxMessageSize int64) int { return int(slowReaderBytes + 2*maxMessageSize) }

// availableMemory returns the bytes that this process may use: the lower of the
// machine's and its control group's; 0 when neither is known, as on other
// systems than Linux.
func availableMemory() int64 {
	machine := meminfoTotal(readText("/proc/meminfo"))
	group := cgroupLimit(readText("/sys/fs/cgroup/memory.max"))
	if group > 0 && (machine == 0 || group < machine) {
		return group
	}
	return machine
}

func readText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "" // Absent here; the caller does without.
	}
	return string(b)
}

// meminfoTotal reads the line "MemTotal:  24576000 kB".
func meminfoTotal(text string) int64 {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 3 && fields[0] == "MemTotal:" {
			kib, err := strconv.ParseInt(fields[1], 10, 53)
			if err != nil {
				return 0
			}
			return kib << 10
		}
	}
	return 0
}

// cgroupLimit reads a number of bytes, or "max" for none.
func cgroupLimit(text string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
