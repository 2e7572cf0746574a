package cold

import "math"

// prefetchStep is how much the kernel is asked for at once; of a longer range it
// would read only the beginning.
const prefetchStep = 128 << 10

// HotFrom is the offset from which on bytes are taken to be in memory. What is cold
// was written long ago, so it lies beyond every offset.
func (s *Set) HotFrom() int64 { return math.MaxInt64 }

// Prefetch asks the kernel to read the blocks with the bytes [from, to) of the lane
// into memory, neighbours together, and does not wait until it has. It returns for how
// many bytes of files it asked: none for what is in memory already, decoded or not, or
// is dead. It is advice; View works without.
func (s *Set) Prefetch(from, to int64) (asked int64) {
	for from >= 0 && from < to {
		n := min(to-from, s.o.SegmentSize-from%s.o.SegmentSize)
		asked += s.prefetch(from, n)
		from += n
	}
	return asked
}

// prefetch is Prefetch within a file.
func (s *Set) prefetch(from, n int64) (asked int64) {
	x, pos, err := s.locate(from)
	if err != nil {
		return 0
	}
	end := pos + n
	var step stretch
	for i := x.find(pos); i >= 0 && i < len(x.blocks) && int64(x.blocks[i].pos) < end; i++ {
		if s.cache.has(blockKey{x.info.Base, i}) {
			continue
		}
		if bl := &x.blocks[i]; !step.extend(int64(bl.at), int64(bl.stored)) {
			asked += x.prefetch(step)
			step = stretch{int64(bl.at), int64(bl.stored)}
		}
	}
	return asked + x.prefetch(step)
}

// stretch is a part of a file.
type stretch struct{ at, n int64 }

// extend adds what follows; false, and nothing has changed, if there is a gap or it
// would become too long.
func (s *stretch) extend(at, n int64) bool {
	if s.at+s.n != at || s.n+n > prefetchStep {
		return false
	}
	s.n += n
	return true
}

// prefetch asks for a stretch unless it is there.
func (x *file) prefetch(s stretch) (asked int64) {
	if s.n == 0 {
		return 0
	}
	c, err := x.f.SyscallConn()
	if err != nil {
		return 0
	}
	// Closed meanwhile, it is not called.
	_ = c.Control(func(fd uintptr) {
		if !resident(int(fd), s) && willNeed(int(fd), s) {
			asked = s.n
		}
	})
	return asked
}
