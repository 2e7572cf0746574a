//go:build !linux

package keyindex

import "os"

// dropCache does nothing where there is no portable way.
func dropCache(*os.File) error { return nil }
