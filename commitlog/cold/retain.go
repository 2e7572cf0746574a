package cold

import (
	"errors"
	"io/fs"
	"sort"

	"github.com/duelog/duelog/internal/durable"
)

const (
	// pageSize is what holes are aligned to.
	pageSize = 4096
	// punchBytes, or a sixteenth of the file if that is less, is how much must have
	// died since the last time for a hole to be worth its cost: an edit of the owner's
	// manifest and a system call.
	punchBytes = 64 << 10
	// punchPart: see punchBytes.
	punchPart = 16
)

// KeepFor tells that the record at lane offset off fired at ms. What fires late
// lives from then on, and its file with it, unless its block lives as long anyway.
func (s *Set) KeepFor(off, ms int64) {
	x, pos, err := s.locate(off)
	if err != nil {
		return
	}
	if i := x.find(pos); i >= 0 && ms <= x.blocks[i].fireMs {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	x.info.KeepMs = max(x.info.KeepMs, ms)
}

// Dying lists, as they should become, the files of which enough is newly dead:
// what fired up to deadMs. Nothing changes before Release.
func (s *Set) Dying(deadMs int64) []Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var out []Info
	for _, x := range s.files {
		if info, ok := x.dying(deadMs); ok {
			out = append(out, info)
		}
	}
	return out
}

func (x *file) dying(deadMs int64) (Info, bool) {
	info := x.info
	if info.KeepMs > deadMs {
		return info, false
	}
	if info.MaxFireMs <= deadMs {
		info.DeadTo = info.Size
		return info, true
	}
	i := x.firstAfter(deadMs)
	if i == len(x.blocks) {
		return info, false // the table of a damaged file does not reach its end
	}
	live := &x.blocks[i]
	worth := max(min(punchBytes, info.FileSize/punchPart), pageSize)
	if int64(live.at)-x.fileOffset(info.DeadTo) < worth {
		return info, false
	}
	info.DeadTo = int64(live.pos)
	return info, true
}

// firstAfter returns the number of the first block with a record that fires after ms.
func (x *file) firstAfter(ms int64) int {
	return sort.Search(len(x.blocks), func(i int) bool { return x.blocks[i].fireMs > ms })
}

// fileOffset returns where the first block at or behind pos stands in the file.
func (x *file) fileOffset(pos int64) int64 {
	i := sort.Search(len(x.blocks), func(i int) bool { return int64(x.blocks[i].pos) >= pos })
	if pos == 0 || len(x.blocks) == 0 {
		return 0
	}
	if i == len(x.blocks) {
		return x.info.FileSize
	}
	return int64(x.blocks[i].at)
}

// Release gives back what is dead according to infos, which come from Dying and
// are registered durably. Files that are dead altogether are unlinked, of others
// the prefix becomes a hole. It needs no sync: what a power loss brings back is
// unlinked by Open, or punched again with the next hole.
func (s *Set) Release(infos []Info) error {
	var errs []error
	for _, info := range infos {
		x := s.raise(info)
		switch {
		case x == nil:
		case info.DeadTo >= info.Size:
			errs = append(errs, x.unlink())
		case x.f != nil:
			end := x.fileOffset(info.DeadTo) / pageSize * pageSize
			errs = append(errs, durable.PunchHole(x.f, pageSize, max(end-pageSize, 0)))
		}
	}
	return errors.Join(errs...)
}

// raise makes the dead part unreadable before its bytes go.
func (s *Set) raise(info Info) *file {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.files[info.Base]
	if x == nil || s.closed {
		return nil
	}
	x.info.DeadTo = max(x.info.DeadTo, info.DeadTo)
	if x.info.DeadTo >= x.info.Size {
		delete(s.files, info.Base)
	}
	return x
}

func (x *file) unlink() error {
	err := x.close()
	if rerr := durable.Remove(x.path); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

// Usage is what the files take.
type Usage struct {
	Files   int
	Records int64 // of the whole files, dead ones included
	Bytes   int64 // on disk, holes left out
}

// Usage adds up all files.
func (s *Set) Usage() Usage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u := Usage{Files: len(s.files)}
	for _, x := range s.files {
		u.Records += x.info.Records
		u.Bytes += x.info.FileSize - x.hole()
	}
	return u
}
