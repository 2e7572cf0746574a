package keyindex

// Freeze makes the active memtable ready to be flushed and begins a new one. It
// is false if the active one covers no lane bytes. It may hold no entries all
// the same: flushing it moves IndexedUpTo.
func (x *Index) Freeze() bool { return x.set.Freeze() }

// Frozen returns the number of memtables that wait to be flushed and installed.
func (x *Index) Frozen() int { return x.set.Waiting() }

// Flush writes the oldest frozen memtable as a run that is durable when it
// returns. If the memtable has no entries no file is written: wrote is false and
// ri has only the range.
//
// The memtable stays until Install, so a Flush that failed, or whose result was
// not registered, is simply done again. Without a frozen memtable the error is
// ErrNothingFrozen.
func (x *Index) Flush() (ri RunInfo, wrote bool, err error) {
	err = x.set.Flush(func(m *memtable) error {
		ri, wrote, err = x.flush(m)
		return err
	})
	return ri, wrote, err
}

func (x *Index) flush(m *memtable) (ri RunInfo, wrote bool, err error) {
	view := m.acquire()
	defer m.Release()
	ri = RunInfo{Start: m.start, End: m.end}
	if view.n == 0 {
		return ri, false, nil
	}
	h := header{RunInfo: ri, lane: x.opts.Lane, createdMs: x.now().UnixMilli()}
	size := RunInfo{Count: int64(view.n)}.Bytes()
	if err := writeRun(x.set.Path(ri), &h, newMemSource(&view), size); err != nil {
		return ri, false, err
	}
	return h.RunInfo, true, nil
}

// Install replaces the oldest frozen memtable by what Flush returned for it,
// which the owner has registered durably. After an error nothing has changed.
func (x *Index) Install(ri RunInfo, wrote bool) error { return x.set.Install(ri, wrote) }

// Drop forgets an installed run that the owner has durably unregistered. The
// file is unlinked when the last reader is done with it.
func (x *Index) Drop(ri RunInfo) error { return x.Replace([]RunInfo{ri}, RunInfo{}, false) }
