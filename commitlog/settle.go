package commitlog

// settle positions the log behind everything that was found.
func (r *recovery) settle() error {
	l := r.l
	l.pos = r.boundary(r.from)
	for _, s := range r.segs {
		if s.file != nil {
			l.infos = append(l.infos, s.info)
		}
		l.pos = max(l.pos, r.boundary(s.info.Base+1))
	}
	if err := r.resume(); err != nil {
		return err
	}
	for i := range l.infos {
		l.infos[i].Sealed = l.active == nil || l.infos[i].Base != l.active.Base()
	}
	if r.last > 0 {
		l.clock = r.last + 1 // later than any frame of an earlier incarnation
	}
	l.tail.Store(l.pos)
	l.hotFrom = l.pos
	return r.arrange()
}

// boundary rounds up to the base of a segment.
func (r *recovery) boundary(off int64) int64 {
	size := r.l.o.SegmentSize
	return (off + size - 1) / size * size
}

// resume makes the last segment the active one if it can take more frames.
func (r *recovery) resume() error {
	if len(r.segs) == 0 {
		return nil
	}
	s := r.segs[len(r.segs)-1]
	if s.info.Sealed || r.boundary(r.from) > s.info.Base+r.l.o.SegmentSize {
		return nil
	}
	if err := r.settleTail(s); err != nil {
		return err
	}
	r.l.active, r.l.pos = s.file, s.info.End
	return nil
}

// settleTail makes durable what was visited, which so far may be in memory only,
// and what was rejected: the headers of bad frames are erased, lest a later crash,
// by putting back what stands around them, makes one of them good again.
func (r *recovery) settleTail(s *found) error {
	f := s.file
	if err := f.Allocate(s.info.End - s.info.Base); err != nil { // what was freed in front stays free
		return fullError(err)
	}
	for _, off := range r.rejects {
		if err := f.WriteAt(make([]byte, FrameHeaderSize), off-f.Base()); err != nil {
			return err
		}
	}
	return f.Sync()
}

// arrange recycles files that are no segments, except the one that would be
// prepared next anyway, and fills the reserve.
func (r *recovery) arrange() error {
	next := r.l.pos
	if r.l.active != nil {
		next = r.l.active.Base() + r.l.o.SegmentSize
	}
	for _, base := range r.spare {
		if base != next {
			r.l.chain.Discard(base)
		}
	}
	if r.l.o.Reserve {
		r.l.next.fill(next)
	}
	return nil
}
