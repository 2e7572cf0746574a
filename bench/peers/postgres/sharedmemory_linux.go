package postgres

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// removeSharedMemory removes the segment that a lock file names, in its seventh
// line: key and id. A server that ended by itself has removed both.
func removeSharedMemory(lockFile string) {
	b, err := os.ReadFile(lockFile)
	if err != nil {
		return
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 7 {
		return
	}
	words := strings.Fields(lines[6])
	if len(words) != 2 {
		return
	}
	if id, err := strconv.Atoi(words[1]); err == nil {
		_, _ = unix.SysvShmCtl(id, unix.IPC_RMID, nil) // It is 56 bytes, gone at the next boot.
	}
}
