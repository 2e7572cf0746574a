package tools

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// freeKey is a period, by its beginning, and a lane.
type freeKey struct {
	startMs int64
	lane    uint8
}

// freeing is the bytes of messages that die in a period, and those that the disk has
// back in it at the latest.
type freeing struct{ dying, freed int64 }

// period is the beginning of the period with a time; what is past goes with the present one.
func (s *spaceCount) period(ms int64) int64 {
	t := time.UnixMilli(max(ms, s.nowMs))
	if s.by == "hour" {
		return t.Truncate(time.Hour).UnixMilli()
	}
	year, month, day := t.Date()
	return time.Date(year, month, day, 0, 0, 0, 0, t.Location()).UnixMilli()
}

// at is the period of the file's lane; nil if nobody asks for it.
func (c *fileCount) at(ms int64) *freeing {
	if c.s.by != "hour" && c.s.by != "day" {
		return nil
	}
	key := freeKey{c.s.period(ms), c.lane}
	if c.frees[key] == nil {
		c.frees[key] = &freeing{}
	}
	return c.frees[key]
}

func (c *fileCount) dying(ms, bytes int64) {
	if f := c.at(ms); f != nil {
		f.dying += bytes
	}
}

func (c *fileCount) freed(ms, bytes int64) {
	if f := c.at(ms); f != nil {
		f.freed += bytes
	}
}

func (s *spaceCount) putFrees(frees map[freeKey]*freeing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, f := range frees {
		sum := s.frees[key]
		if sum == nil {
			sum = &freeing{}
			s.frees[key] = sum
		}
		sum.dying += f.dying
		sum.freed += f.freed
	}
}

func (s *spaceCount) printFrees() error {
	left := int64(0)
	for _, sum := range s.sums {
		left += sum.Total()
	}
	t := s.e.table("time", "lane", "dying", "freed", "left")
	for _, key := range slices.SortedFunc(maps.Keys(s.frees), func(a, b freeKey) int {
		return cmp.Or(cmp.Compare(a.startMs, b.startMs), cmp.Compare(a.lane, b.lane))
	}) {
		f := s.frees[key]
		left -= f.freed
		t.row(time.UnixMilli(key.startMs), key.lane, byteCount(f.dying), byteCount(f.freed), byteCount(left))
	}
	return t.close()
}
