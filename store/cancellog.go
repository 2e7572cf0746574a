package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
)

// The cancel log is a commit log of its own (lane cancelLane). A record is written
// for each message that is cancelled, with the header fields of that message, the flags FlagScheduled and
// FlagTombstone, and a payload of 9 bytes, little endian:
//
//	loc u64 | kind u8: 0 cancelled, 1 revoked
//
// The last record about a location counts. What is in memory can be written anew at
// any time, so a segment whose records are mostly forgotten is replaced by a few
// records at the end (compactCancels): a message that is due in a year pins its
// own 65 bytes, not the segment.
const (
	cancelLane        = 254
	cancelPayloadSize = 9
	cancelSegmentSize = 4 << 20

	cancelled = 0
	revoked   = 1
)

var errCancel = errors.New("malformed record of the cancel log")

func appendCancelPayload(dst []byte, loc commitlog.Loc, kind uint8) []byte {
	return append(binary.LittleEndian.AppendUint64(dst, uint64(loc)), kind)
}

func parseCancelPayload(b []byte) (loc commitlog.Loc, kind uint8, err error) {
	if len(b) != cancelPayloadSize || b[8] > revoked {
		return 0, 0, errCancel
	}
	return commitlog.Loc(binary.LittleEndian.Uint64(b)), b[8], nil
}

// writeCancel appends a record about the message it at loc and waits until it is
// durable.
func (s *Store) writeCancel(it *commitlog.Item, loc commitlog.Loc, kind uint8) error {
	w := newCancelWait(1)
	if err := s.appendCancel(it.When, it.Queue, it.Key, loc, kind, w); err != nil {
		return err
	}
	return <-w
}

func (s *Store) appendCancel(fireMs int64, queue, key uint32, loc commitlog.Loc, kind uint8, w cancelWait) error {
	var buf [cancelPayloadSize]byte
	return s.cancelLog.Append(&commitlog.Record{
		When: fireMs, Flags: commitlog.FlagScheduled | commitlog.FlagTombstone, Queue: queue, Key: key,
		Payload: appendCancelPayload(buf[:0], loc, kind),
	}, w, 0)
}

// cancelWait takes the outcomes of so many records.
type cancelWait chan error

func newCancelWait(n int) cancelWait { return make(cancelWait, n) }

// Complete implements commitlog.Completer.
func (w cancelWait) Complete(_ uint64, _ *commitlog.Item, _ int64, err error) { w <- err }

// cancelHooks keep the segments of the cancel log; the records concern nobody.
type cancelHooks struct{ lane }

// Assign implements commitlog.Hooks.
func (*cancelHooks) Assign([]commitlog.Item, int64) {}

// Committed implements commitlog.Hooks.
func (h *cancelHooks) Committed(_ []commitlog.Item, _, _ int64, err error) {
	if err != nil {
		h.s.fail(err)
	}
}

// openCancels reads all of the cancel log into the table.
func (r *recovery) openCancels() error {
	s := r.s
	o := s.logOptions(cancelLane, min(cancelSegmentSize, s.opts.JournalSegmentSize))
	o.Hooks = &cancelHooks{lane{s: s, id: cancelLane}}
	visit := func(f commitlog.Frame) error { s.restoreCancels(&f); return nil }
	var err error
	if s.cancelLog, _, err = commitlog.Open(filepath.Join(s.dir, cancelDir), r.st.laneSegments(cancelLane), 0, visit, o); err != nil {
		return fmt.Errorf("open cancel log: %w", err)
	}
	for _, loc := range r.fired { // taken while the cancellation was written, and not revoked yet
		delete(s.cancels.byLoc, loc)
	}
	return nil
}

func (s *Store) restoreCancels(f *commitlog.Frame) {
	c := s.cancels
	c.mu.Lock()
	defer c.mu.Unlock()
	for it, payload := range f.Items() {
		loc, kind, err := parseCancelPayload(payload)
		switch {
		case err != nil:
			s.log.Error("a record of the cancel log is passed over: its message fires", "offset", it.Loc.Offset(), "error", err)
		case kind == revoked:
			delete(c.byLoc, loc)
		default:
			c.addLocked(loc, it.When)
		}
	}
}

// trimCancels forgets the cancelled messages that retention would have removed by
// now, and gives their space back.
func (s *Store) trimCancels() error {
	left := s.cancels.forget(s.forgottenMs())
	records := int64(0)
	for _, info := range s.cancelLog.Segments() {
		if info.Sealed {
			records += info.Records
		}
	}
	if records <= 2*int64(left) {
		return nil
	}
	return s.compactCancels()
}

// compactCancels writes what is in the table to the end of the log and removes the
// sealed segments in front of it. A crash in between leaves records twice.
func (s *Store) compactCancels() error {
	s.cancels.writes.Lock()
	defer s.cancels.writes.Unlock()
	segments := s.cancelLog.Segments()
	if err := s.rewriteCancels(); err != nil {
		return err
	}
	if err := s.syncAsync(); err != nil {
		return err
	}
	for _, info := range segments {
		if !info.Sealed {
			continue
		}
		if err := s.removeSegment(cancelLane, s.cancelLog, info.Base); err != nil {
			return err
		}
	}
	return nil
}

// rewriteCancels appends a record for each cancelled message and returns when they
// are durable. None is being written meanwhile.
func (s *Store) rewriteCancels() error {
	for _, hour := range s.cancels.hours() {
		locs, fireMs := s.cancels.inHour(hour)
		w := newCancelWait(len(locs))
		for i, loc := range locs {
			if err := s.appendCancel(fireMs[i], 0, 0, loc, cancelled, w); err != nil {
				return err
			}
		}
		for range locs {
			if err := <-w; err != nil {
				return err
			}
		}
	}
	return nil
}
