//go:build !linux

package probe

import "os"

// OpenDirect opens a file; this system reads it through the page cache.
func OpenDirect(path string) (*os.File, error) { return os.Open(path) }
