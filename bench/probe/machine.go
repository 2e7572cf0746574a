package probe

import (
	"os"
	"runtime"
)

// Machine is what figures belong to. Empty fields are not known.
type Machine struct {
	Host        string `json:"host"`
	OS          string `json:"os"`
	Arch        string `json:"arch"`
	Kernel      string `json:"kernel"`
	CPU         string `json:"cpu"`
	Cores       int    `json:"cores"`
	MemoryBytes int64  `json:"memory_bytes"`
	FileSystem  string `json:"file_system"` // of the directory that the systems wrote to
	Go          string `json:"go"`
}

// ReadMachine describes this machine and the file system of dir.
func ReadMachine(dir string) Machine {
	m := Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(), FileSystem: FileSystem(dir)}
	m.Host, _ = os.Hostname()
	machineDetails(&m)
	return m
}
