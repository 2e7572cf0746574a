// Package probe reads what the operating system counts: the CPU time, memory and
// written bytes of processes, how busy the machine is with others, and what a
// directory takes on disk. A benchmark on a shared machine needs all of it to say
// what its figures are worth.
//
// Everything comes from /proc and /sys; on other systems than Linux the figures
// are missing, which is reported as Unknown, never as zero. Reading is cheap (some
// 10 us a process) and nothing is kept between calls, so any goroutine may read.
package probe

import (
	"io/fs"
	"path/filepath"
	"time"
)

// Unknown stands for a figure that could not be read.
const Unknown = -1

// Usage is what a tree of processes has used since its processes started.
type Usage struct {
	CPU          time.Duration // user and system, of waited-for children too
	RSS          int64         // bytes, shared pages by share where that can be read
	AnonRSS      int64         // bytes that are not backed by a file
	WrittenBytes int64         // handed to the block layer, or to be so; Unknown without permission
}

// Sub returns the CPU time and the bytes of u that came after earlier; memory is
// that of u.
func (u Usage) Sub(earlier Usage) Usage {
	u.CPU -= earlier.CPU
	if u.WrittenBytes == Unknown || earlier.WrittenBytes == Unknown {
		u.WrittenBytes = Unknown
	} else {
		u.WrittenBytes -= earlier.WrittenBytes
	}
	return u
}

// Host is what all processes of the machine together did since it started.
type Host struct {
	At      time.Time
	Busy    time.Duration // CPU time of all cores, stolen time included
	LoadAvg float64       // of the last minute
}

// Disk is what a directory takes.
type Disk struct {
	Apparent  int64 // sum of the file sizes
	Allocated int64 // sum of the blocks
}

// DiskUsage adds up the files below dir. Files that go while it looks do not count.
func DiskUsage(dir string) (Disk, error) {
	var d Disk
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return ignoreGone(err)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		d.Apparent += info.Size()
		d.Allocated += allocated(info)
		return nil
	})
	return d, err
}
