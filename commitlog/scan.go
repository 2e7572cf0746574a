package commitlog

import (
	"cmp"
	"errors"
)

// Scan visits every frame that starts in [from, to), in order, up to the present
// tail. from is a frame boundary or 0. It reads by system calls and checks each
// frame. Removed segments are passed over, and so is what was given back. Bad bytes are passed over too; the first
// are returned as *CorruptionError when all else was visited.
func (l *Log) Scan(from, to int64, visit func(Frame) error) error {
	to = min(to, l.Tail())
	var buf []byte
	var bad error
	for _, base := range l.chain.Bases() {
		end := base + l.o.SegmentSize
		if end <= from || base >= to {
			continue
		}
		damage, err := l.scanSegment(max(from, base), to, &buf, visit)
		if err != nil {
			return err
		}
		bad = cmp.Or(bad, damage)
	}
	if l.closed.Load() {
		return ErrClosed
	}
	return bad
}

// errEnough ends a walk at the caller's bound.
var errEnough = errors.New("reached the end of the range")

func (l *Log) scanSegment(from, to int64, buf *[]byte, visit func(Frame) error) (damage, err error) {
	f := l.chain.Acquire(from)
	if f == nil {
		return nil, nil // removed since it was listed
	}
	defer f.Release()
	w := walk{
		r: frameReader{f: f, lane: l.o.Lane, limit: min(f.Base()+f.Size(), l.Tail()), own: *buf},
		visit: func(fr Frame) error {
			if fr.Loc.Offset() >= to {
				return errEnough
			}
			return visit(fr)
		},
		damaged: func(from, to int64, reason *CorruptionError) {
			if !l.gaveBack(from, to) {
				damage = cmp.Or[error](damage, reason)
			}
		},
	}
	_, err = w.run(from)
	*buf = w.r.own
	if errors.Is(err, errEnough) {
		err = nil
	}
	return damage, err
}
