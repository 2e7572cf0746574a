package cold

import (
	"fmt"
	"iter"

	"github.com/duelog/duelog/commitlog"
)

// Records yields the records of the file with that base which are not dead, in
// fire order, with Loc set. Blocks that are damaged come as an error each, between
// the records that could be read. It passes by the cache.
func (s *Set) Records(base int64) iter.Seq2[commitlog.Item, error] {
	return func(yield func(commitlog.Item, error) bool) {
		x, pos, err := s.firstLive(base)
		if err != nil {
			yield(commitlog.Item{}, err)
			return
		}
		for i := range x.blocks {
			if int64(x.blocks[i].pos)+int64(x.blocks[i].size) <= pos {
				continue
			}
			b, err := x.read(i, s.codec)
			if err != nil {
				if !yield(commitlog.Item{}, err) {
					return
				}
				continue
			}
			if !x.yieldBlock(i, b, s.o.Lane, yield) {
				return
			}
		}
	}
}

func (s *Set) firstLive(base int64) (x *file, pos int64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	x = s.files[base]
	switch {
	case s.closed:
		return nil, 0, commitlog.ErrClosed
	case x == nil:
		return nil, 0, fmt.Errorf("cold file %d: %w", base, commitlog.ErrNotFound)
	case x.lost != nil:
		return nil, 0, x.lost
	}
	return x, x.info.DeadTo, nil
}

// yieldBlock yields the records of one block; false means that no more are wanted.
func (x *file) yieldBlock(i int, b []byte, lane uint8, yield func(commitlog.Item, error) bool) bool {
	off := x.info.Base + int64(x.blocks[i].pos)
	for len(b) > 0 {
		it, err := commitlog.ParseRecordHeader(b)
		n := commitlog.RecordHeaderSize + int(it.Size)
		if err != nil || n > len(b) {
			return yield(commitlog.Item{}, corrupt(x.path, int64(x.blocks[i].at), fmt.Errorf("%w: %w", ErrLayout, commitlog.ErrRecord)))
		}
		it.Loc = commitlog.MakeLoc(lane, off+commitlog.RecordHeaderSize)
		if !yield(it, nil) {
			return false
		}
		b, off = b[n:], off+int64(n)
	}
	return true
}
