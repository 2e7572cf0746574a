package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/store"
)

// slotOf is a slot of a queue and where it stands.
type slotOf struct {
	slot   int64
	ms     int64
	file   string
	offset int64
}

// queues looks for the slots of the messages in the files of their queues.
func (f *finder) queues(ctx context.Context) error {
	dir := filepath.Join(f.dir, store.ConsumeQueueDir)
	entries, err := consumequeue.ReadFormat(dir)
	if err != nil {
		return nil // no files, no slots; verify tells what is wrong with them
	}
	for _, l := range f.lives {
		q, ok := f.names[l.item.Queue]
		if !ok {
			continue
		}
		s := slotSearch{f: f, q: &q, dir: filepath.Join(dir, q.Topic, strconv.Itoa(int(q.Num))), perFile: entries, l: l}
		if err := s.run(ctx); err != nil {
			return err
		}
	}
	return nil
}

// slotSearch looks for the slot of one message in the files of its queue.
type slotSearch struct {
	f       *finder
	q       *store.ManifestQueue
	dir     string
	perFile int64 // slots
	l       *life
}

// run knows the slot of a message that was due at once by its record, and that of
// one that fired lately by the journal. Of others it knows the time: slots become
// visible in the order of time, but for what the clock did. What has not fired has none.
func (s *slotSearch) run(ctx context.Context) error {
	it := &s.l.item
	if !it.Scheduled() {
		return s.take(it.When)
	}
	for _, x := range s.l.firings {
		if err := s.take(x.Slot); err != nil {
			return err
		}
	}
	e := itemEntry(it)
	if len(s.l.slots) > 0 || !s.f.m.Covers(&e) {
		return nil
	}
	from, to, err := s.extent()
	if err != nil || from >= to {
		return err
	}
	start := from + int64(sort.Search(int(to-from), func(i int) bool {
		x, err := s.entry(from + int64(i))
		return err != nil || x.Flags&consumequeue.FlagVoid == 0 && x.DeliverMs >= it.When
	}))
	if err := s.scan(ctx, start, to); err != nil || len(s.l.slots) > 0 {
		return err
	}
	return s.scan(ctx, from, start) // after a clock that was set back
}

// extent is the slots that the queue has in files.
func (s *slotSearch) extent() (from, to int64, err error) {
	bases, err := consumequeue.ListFiles(s.dir, s.perFile)
	if err != nil || len(bases) == 0 {
		return 0, 0, err
	}
	last := bases[len(bases)-1]
	st, err := os.Stat(s.path(last))
	if isGone(err) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("look into queue: %w", err)
	}
	return max(bases[0], s.q.Min), last + min(st.Size()/consumequeue.EntrySize, s.perFile), nil
}

func (s *slotSearch) path(base int64) string {
	return filepath.Join(s.dir, consumequeue.FileName(base))
}

// entry reads one slot.
func (s *slotSearch) entry(slot int64) (consumequeue.Entry, error) {
	base := slot - slot%s.perFile
	file, err := os.Open(s.path(base))
	if err != nil {
		return consumequeue.Entry{}, err
	}
	defer file.Close()
	var b [consumequeue.EntrySize]byte
	if _, err := file.ReadAt(b[:], (slot-base)*consumequeue.EntrySize); err != nil {
		return consumequeue.Entry{}, err
	}
	return consumequeue.DecodeEntry(b[:], slot)
}

// take looks whether a slot is the message's.
func (s *slotSearch) take(slot int64) error {
	if slot < s.q.Min {
		return nil
	}
	x, err := s.entry(slot)
	var damaged *consumequeue.CorruptionError
	switch {
	case err == nil:
		s.add(slot, &x)
	case isGone(err), errors.Is(err, io.EOF), errors.As(err, &damaged):
	case errors.Is(err, consumequeue.ErrChecksum), errors.Is(err, consumequeue.ErrTruncated):
	default:
		return fmt.Errorf("look into queue: %w", err)
	}
	return nil
}

// scan looks at the slots [from, to).
func (s *slotSearch) scan(ctx context.Context, from, to int64) error {
	for base := from - from%s.perFile; base < to; base += s.perFile {
		err := consumequeue.ScanFile(s.path(base), base, max(base, from), func(slot int64, x consumequeue.Entry, err error) bool {
			if slot >= to {
				return false
			}
			if err == nil {
				s.add(slot, &x)
			}
			return len(s.l.slots) == 0 && ctx.Err() == nil
		})
		if err != nil && !isGone(err) {
			return err
		}
		if len(s.l.slots) > 0 {
			return nil
		}
	}
	return ctx.Err()
}

func (s *slotSearch) add(slot int64, x *consumequeue.Entry) {
	if commitlog.Loc(x.Loc) != s.l.item.Loc || x.Flags&consumequeue.FlagVoid != 0 {
		return
	}
	base := slot - slot%s.perFile
	s.l.slots = append(s.l.slots, slotOf{slot, x.DeliverMs, relative(s.f.dir, s.path(base)), (slot - base) * consumequeue.EntrySize})
}
