//go:build !linux

package probe

import "errors"

var errNoProc = errors.New("this system counts nothing that can be read: no /proc")

// Processes returns an error: there is no /proc.
func Processes(...int) (Usage, error) { return Usage{WrittenBytes: Unknown}, errNoProc }

// Self returns an error: there is no /proc.
func Self() (Usage, error) { return Usage{WrittenBytes: Unknown}, errNoProc }

// ReadHost returns an error: there is no /proc.
func ReadHost() (Host, error) { return Host{}, errNoProc }

// BlockWritten returns Unknown: there is no /sys.
func BlockWritten(string) int64 { return Unknown }

// FetchMemory does nothing here.
func FetchMemory(int64) {}

// FileSystem returns "", which means not known.
func FileSystem(string) string { return "" }

func machineDetails(*Machine) {}
