//go:build !linux

package store

import "time"

// processCPU is the processor time of this process so far; 0 is not known.
func processCPU() time.Duration { return 0 }
