//go:build !linux

package child

import "syscall"

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// descendants is known on Linux only; elsewhere servers are trusted to take
// their workers with them.
func descendants(int) []int { return nil }

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// namespaced is nil where there are no user namespaces.
func namespaced() *User { return nil }
