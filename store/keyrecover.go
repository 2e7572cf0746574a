package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
)

// keyBatch is scratch for the keys of one frame.
type keyBatch struct {
	hashes  []uint64
	entries []keyindex.Entry
}

// openKeys opens the key index of a lane, of which the scan begins at from, and
// returns where it has to begin now. Nothing but Lookup depends on the index, so
// damage to it costs keys and nothing else.
func (r *recovery) openKeys(l *lane, from int64) (int64, error) {
	var known keysState
	if k := r.st.keys[l.id]; k != nil {
		known = *k
	}
	if r.s.opts.Keys == nil {
		return from, r.removeKeys(l, known)
	}
	var e edit
	if known.upTo = max(known.upTo, 0); r.st.keys[l.id] == nil {
		// New, or switched on again: it begins where the scan does, for reading all of
		// the log would take as long as there is data.
		known.upTo = from
		e.keysUpTo(l.id, from)
	}
	var damaged []*keyindex.CorruptionError
	var err error
	l.keys, damaged, err = keyindex.Open(r.s.keysPath(l), known.runs, known.upTo, &keyindex.Options{Lane: l.id, Logger: r.s.log})
	if err != nil {
		return 0, err
	}
	for _, bad := range damaged {
		r.s.log.Error("run of the key index is given up: messages of this part of the log are not found by key any more, everything else works",
			"lane", l.id, "start", bad.Run.Start, "end", bad.Run.End, "keys", bad.Run.Count, "error", bad)
		e.keyRunGone(l.id, bad.Run)
	}
	return min(from, known.upTo), r.commitKeys(e)
}

// removeKeys deletes the key index of a lane that is to have none.
func (r *recovery) removeKeys(l *lane, known keysState) error {
	if r.st.keys[l.id] == nil {
		return nil
	}
	r.s.log.Info("key index is switched off and removed", "lane", l.id, "runs", len(known.runs))
	var e edit
	e.keysUpTo(l.id, -1)
	if err := r.commitKeys(e); err != nil {
		return err
	}
	x, _, err := keyindex.Open(r.s.keysPath(l), nil, 0, &keyindex.Options{Lane: l.id}) // deletes what is not registered
	if err != nil {
		return err
	}
	return x.Close()
}

// commitKeys commits e; want of space must not keep the store from opening.
func (r *recovery) commitKeys(e edit) error {
	if len(e) == 0 {
		return nil
	}
	if err := r.s.catalog.commit(e); !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

func (s *Store) keysPath(l *lane) string {
	return filepath.Join(s.dir, keysDir, strconv.Itoa(int(l.id)))
}

// visitKeys adds the keys of a frame that the runs do not have.
func (r *recovery) visitKeys(l *lane, f *commitlog.Frame) {
	if l.keys == nil || f.End <= l.keys.IndexedUpTo() {
		return
	}
	b := &r.keys
	b.entries = b.entries[:0]
	for it, payload := range f.Items() {
		if it.Loc.Offset() >= l.keys.IndexedUpTo() {
			b.hashes = r.s.opts.Keys(payload, b.hashes[:0])
			b.entries = appendKeys(b.entries, it.Loc, b.hashes)
		}
	}
	l.keys.Add(b.entries, f.End)
	if l.keys.MemtableFull() {
		l.keys.Freeze()
	}
}

// addKeyStats adds the figures of the key index.
func (s *Store) addKeyStats(st *Stats) {
	for _, l := range s.keyLanes() {
		if l.keys == nil {
			continue
		}
		st.KeyEntries += l.keys.InMemory()
		for _, ri := range l.keys.Runs() {
			st.KeyRuns++
			st.KeyEntries += ri.Count
			st.StoredBytes[BytesKeys] += ri.Bytes()
		}
	}
}

// keysError names the lane.
func keysError(l *lane, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("key index of lane %d: %w", l.id, err)
}
