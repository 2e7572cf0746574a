package child

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// descendants returns the children of pid, theirs, and so on. Servers put their
// workers into sessions of their own, where no signal to a group reaches them.
func descendants(pid int) []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		if child, parent, _, ok := readStat(path); ok {
			children[parent] = append(children[parent], child)
		}
	}
	var all []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		all = append(all, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return all
}

// alive reports whether pid runs. A zombie does not: where process 1 reaps
// nothing, orphans stay zombies.
func alive(pid int) bool {
	_, _, state, ok := readStat("/proc/" + strconv.Itoa(pid) + "/stat")
	return ok && state != 'Z' && state != 'X'
}

// readStat reads "pid (name) state ppid ...". The name may hold blanks and
// brackets; the last bracket ends it.
func readStat(path string) (pid, parent int, state byte, ok bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, 0, false
	}
	head, _, _ := bytes.Cut(b, []byte(" "))
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, 0, false
	}
	pid, err = strconv.Atoi(string(head))
	if err != nil {
		return 0, 0, 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return pid, parent, fields[0][0], err == nil
}
