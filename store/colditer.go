package store

import (
	"iter"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// coldIterator makes index entries of the records of a cold file. What the mark
// covers is left out, as are damaged blocks, which have been reported.
type coldIterator struct {
	s    *Store
	mark mark
	next func() (commitlog.Item, error, bool)
	stop func()
}

func newColdIterator(s *Store, base int64, m mark) *coldIterator {
	it := &coldIterator{s: s, mark: m}
	it.next, it.stop = iter.Pull2(s.cold.files.Records(base))
	return it
}

// Next implements delayindex.Iterator.
func (c *coldIterator) Next(dst []delayindex.Entry) (int, error) {
	n := 0
	for n < len(dst) {
		it, err, ok := c.next()
		switch {
		case !ok:
			return n, nil
		case err != nil:
			c.s.log.Error("cold messages are lost", "error", err)
		default:
			if dst[n] = indexEntry(&it); !c.mark.done(&dst[n]) {
				n++
			}
		}
	}
	return n, nil
}

// Close implements delayindex.Iterator.
func (c *coldIterator) Close() { c.stop() }
