package server

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Version returns the version of this binary as the Go toolchain recorded it:
// a tag, or a pseudo-version with the commit, or "(devel)".
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}

func versionLine() string {
	return fmt.Sprintf("duelogd %s, %s, %s/%s", Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
