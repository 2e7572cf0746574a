package store

import (
	"fmt"
	"sync/atomic"

	"github.com/duelog/duelog/commitlog/segment"
	"github.com/duelog/duelog/internal/durable"
)

// DiskLevel says how the store sees the free space of its file system.
type DiskLevel int32

// The levels.
const (
	DiskEnough  DiskLevel = iota
	DiskShort             // beyond Options.DiskWarn: no expired file is kept for reuse
	DiskRefuses           // beyond Options.DiskRefuse: new messages get ErrDiskFull, pending ones fire
)

// A level that was reached ends only when the disk is clearly below it, or sends
// would be taken and refused in turns.
const (
	diskSlack     = 0.02 // of the file system
	diskFreeSlack = 1.25 // times Options.DiskFree
)

// errDiskLimit is what a send gets beyond Options.DiskRefuse.
var errDiskLimit = fmt.Errorf("%w: more of it is used than DiskRefuse allows", ErrDiskFull)

// diskWatch is what the keeper saw last. The zero value is a disk with room.
type diskWatch struct {
	level atomic.Int32 // a DiskLevel
	free  atomic.Int64
}

// watchDisk looks at the file system and draws the consequences. Nothing that is
// pending or within its retention is ever deleted for space: the files of the pool
// are all there is to give.
func (s *Store) watchDisk() {
	space, err := s.opts.diskSpace(s.dir)
	if err != nil {
		s.log.Warn("free disk space is not known; a full disk is noticed when it is full", "error", err)
		return
	}
	was := DiskLevel(s.disk.level.Load())
	now := s.opts.diskLevel(space, was)
	s.disk.free.Store(space.Free)
	if now == was {
		return
	}
	keep := 0
	if now == DiskEnough {
		keep = segment.DefaultSpares
	}
	s.pool.Keep(keep)
	s.disk.level.Store(int32(now))
	used := fmt.Sprintf("%.1f%%", space.UsedPart()*100)
	switch now {
	case DiskRefuses:
		s.log.Error("disk is nearly full: new messages are refused until there is space, due ones still fire; free space or shorten the retention", "used", used, "free_bytes", space.Free)
	case DiskShort:
		s.log.Warn("disk is filling up: expired files are deleted instead of used again; free space or shorten the retention", "used", used, "free_bytes", space.Free)
	default:
		s.log.Info("disk has enough space again", "used", used, "free_bytes", space.Free)
	}
}

// diskLevel judges space when it was judged was the last time.
func (o *Options) diskLevel(space durable.Space, was DiskLevel) DiskLevel {
	beyond := func(level DiskLevel, part float64, free int64) bool {
		if was >= level {
			part, free = part-diskSlack, int64(float64(free)*diskFreeSlack)
		}
		return space.UsedPart() >= part && space.Free < free
	}
	switch {
	case beyond(DiskRefuses, o.DiskRefuse, o.DiskFree):
		return DiskRefuses
	case beyond(DiskShort, o.DiskWarn, 2*o.DiskFree):
		return DiskShort
	}
	return DiskEnough
}
