package keyindex

import (
	"fmt"
	"slices"

	"github.com/duelog/duelog/internal/runset"
)

// Merge writes one run with the entries of old, which are neighbouring installed
// runs, and for which keep is true (nil keeps all). It is durable when Merge
// returns; if no entry is left no file is written. stop (nil: never) is asked
// again and again; when it says true the error is ErrStopped.
//
// Blocks of old that are damaged are left out and logged: what they had is lost.
func (x *Index) Merge(old []RunInfo, keep func(loc uint64) bool, stop func() bool) (ri RunInfo, wrote bool, err error) {
	runs, err := x.acquireRuns(old)
	if err != nil {
		return RunInfo{}, false, fmt.Errorf("merge key runs: %w", err)
	}
	m := &merger{keep: keep, stop: stop}
	count := int64(0)
	for _, r := range runs {
		defer x.set.Release(r)
		m.scans = append(m.scans, &scan{run: r, lost: x.blockLost})
		count += r.info.Count
	}
	h := header{lane: x.opts.Lane, createdMs: x.now().UnixMilli()}
	h.Start, h.End = old[0].Start, old[len(old)-1].End
	if err := writeRun(x.set.Path(h.RunInfo), &h, m, RunInfo{Count: count}.Bytes()); err != nil {
		return h.RunInfo, false, err
	}
	return h.RunInfo, h.Count > 0, nil
}

func (x *Index) blockLost(err error) {
	x.opts.Logger.Error("block of the key index is damaged: its messages are not found by key any more", "error", err)
}

// acquireRuns takes a reference of each of the runs.
func (x *Index) acquireRuns(infos []RunInfo) ([]*run, error) {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	at, err := x.locate(infos)
	if err != nil {
		return nil, err
	}
	runs := x.set.Runs[at : at+len(infos)]
	for _, r := range runs {
		r.f.Acquire()
	}
	return runs, nil
}

// locate returns the place of neighbouring runs in the list.
func (x *Index) locate(infos []RunInfo) (at int, err error) {
	if x.set.Closed {
		return 0, ErrClosed
	}
	if len(infos) > 0 {
		at = slices.IndexFunc(x.set.Runs, func(r *run) bool { return r.info == infos[0] })
		if at >= 0 && len(infos) <= len(x.set.Runs)-at && slices.EqualFunc(x.set.Runs[at:at+len(infos)], infos, func(r *run, ri RunInfo) bool { return r.info == ri }) {
			return at, nil
		}
	}
	return 0, fmt.Errorf("%+v: %w", infos, ErrUnknownRun)
}

// Replace puts what Merge returned in place of old, after the owner has durably
// registered the one and unregistered the others. Their files are unlinked when
// the last reader is done with them. After an error nothing has changed.
func (x *Index) Replace(old []RunInfo, ri RunInfo, wrote bool) error {
	fresh, err := x.set.OpenWritten(ri, wrote)
	if err != nil {
		return err
	}
	gone, err := x.set.Swap(old, fresh)
	if err != nil {
		x.set.Release(fresh...)
		return err
	}
	return runset.Drop[RunInfo](gone)
}

// merger is a source of the entries of all scans, merged through a binary heap.
type merger struct {
	scans []*scan // at first all, then the heap of those that have entries left
	keep  func(loc uint64) bool
	stop  func() bool
	began bool
}

func (m *merger) next(dst []Entry) (int, error) {
	if m.stop != nil && m.stop() {
		return 0, ErrStopped
	}
	if !m.began {
		if err := m.begin(); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(dst) && len(m.scans) > 0 {
		e, err := m.pop()
		if err != nil {
			return 0, err
		}
		if m.keep == nil || m.keep(e.Loc) {
			dst[n] = e
			n++
		}
	}
	return n, nil
}

func (m *merger) begin() error {
	m.began = true
	all := m.scans
	m.scans = nil
	for _, s := range all {
		more, err := s.advance()
		if err != nil {
			return err
		}
		if more {
			m.scans = append(m.scans, s)
		}
	}
	for i := len(m.scans)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
	return nil
}

// pop takes the first entry of all.
func (m *merger) pop() (Entry, error) {
	s := m.scans[0]
	e := s.head
	more, err := s.advance()
	if err != nil {
		return e, err
	}
	if !more {
		last := len(m.scans) - 1
		m.scans[0], m.scans = m.scans[last], m.scans[:last]
	}
	m.sink(0)
	return e, nil
}

// sink restores the heap below i.
func (m *merger) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(m.scans) {
			return
		}
		if right := child + 1; right < len(m.scans) && m.scans[right].head.less(m.scans[child].head) {
			child = right
		}
		if !m.scans[child].head.less(m.scans[i].head) {
			return
		}
		m.scans[i], m.scans[child] = m.scans[child], m.scans[i]
		i = child
	}
}

// scanBlocks is how many blocks a scan reads at once: 64 KiB.
const scanBlocks = 16

// scan yields the entries of a run in their order.
type scan struct {
	run  *run
	lost func(error) // hears of damaged blocks
	head Entry

	buf   []byte // whole blocks
	block int64  // number of the first block in buf
	at    int64  // block that is being read
	i, n  int    // entries of it: taken, all
}

// advance moves head to the next entry; more is false at the end.
func (s *scan) advance() (more bool, err error) {
	for s.i == s.n {
		if more, err := s.load(); !more || err != nil {
			return false, err
		}
	}
	s.head = entryAt(s.bytes(), s.i)
	s.i++
	return true, nil
}

func (s *scan) bytes() []byte {
	from := (s.at - s.block) * blockBytes
	return s.buf[from : from+blockBytes]
}

// load goes to the next block; one that is damaged has no entries.
func (s *scan) load() (more bool, err error) {
	if s.buf != nil {
		s.at++
	}
	if s.at == int64(len(s.run.fences)) {
		return false, nil
	}
	if s.at >= s.block+int64(len(s.buf))/blockBytes {
		if err := s.fill(); err != nil {
			return false, err
		}
	}
	s.i, s.n = 0, s.run.entriesIn(s.at)
	if err := checkBlock(s.bytes(), s.at); err != nil {
		s.lost(s.run.damaged(headerSize+s.at*blockBytes, err))
		s.n = 0
	}
	return true, nil
}

func (s *scan) fill() error {
	if s.buf == nil {
		s.buf = make([]byte, scanBlocks*blockBytes)
	}
	s.block = s.at
	n := min(int64(len(s.run.fences))-s.at, scanBlocks)
	s.buf = s.buf[:n*blockBytes]
	return s.run.readAt(s.buf, headerSize+s.at*blockBytes)
}
