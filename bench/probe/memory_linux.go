package probe

import (
	"os"

	"golang.org/x/sys/unix"
)

// FetchMemory writes to n bytes of free memory, at most half of what is available,
// and frees them again. A virtual machine then has them from its host: where the
// host takes free memory back, the first use of every page costs a fault there,
// which would count as work of the process under test. Memory that cannot be had is
// not fetched.
func FetchMemory(n int64) {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return
	}
	n = min(n, kilobytes(info, "MemAvailable:")/2)
	if n <= 0 {
		return
	}
	m, err := unix.Mmap(-1, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_POPULATE)
	if err == nil {
		_ = unix.Munmap(m) // of a mapping that was just made
	}
}
