package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// kindSum is the files of one kind.
type kindSum struct {
	kind            string
	files           int
	used, allocated int64
	written         int64 // for the messages that are there now
	ever            any   // since the store was made, nil where no file tells
	counter         string
}

// printKinds prints all files of the store by kind.
func (s *spaceCount) printKinds(ctx context.Context) error {
	live, err := s.counted(ctx)
	if err != nil {
		return err
	}
	kinds, payload, err := s.kinds()
	if err != nil {
		return err
	}
	columns := []string{"kind", "files", "used", "allocated", "written", "per_byte", "ever"}
	if live != nil {
		columns = append(columns, "since_start")
	}
	t := s.e.table(columns...)
	put := func(k kindSum, since any) {
		row := []any{k.kind, k.files, byteCount(k.used), byteCount(k.allocated), byteCount(k.written), per(k.written, payload), k.ever}
		if live != nil {
			row = append(row, since)
		}
		t.row(row...)
	}
	total, since := kindSum{kind: "total"}, float64(0)
	for _, k := range kinds {
		total.files += k.files
		total.used += k.used
		total.allocated += k.allocated
		total.written += k.written
		n, known := live["duelog_written_bytes_total"][`class="`+k.counter+`"`]
		since += n
		if known {
			put(k, byteCount(n))
		} else {
			put(k, nil)
		}
	}
	put(total, byteCount(since))
	if err := t.close(); err != nil {
		return err
	}
	if payload > 0 {
		s.e.note("%s of messages are there; %.3f bytes were written for each byte of them (merges of the indexes come on top)",
			humanText(byteCount(payload)), float64(total.written)/float64(payload))
	}
	if live != nil {
		s.e.note("since its start the broker has written %.3f bytes for each byte of message that it took", live.sum("duelog_write_amplification"))
	}
	return nil
}

// per is n for each of payload bytes; no value without any.
func per(n, payload int64) any {
	if payload == 0 {
		return nil
	}
	return float64(n) / float64(payload)
}

// counted asks a running broker; nil if none was named.
func (s *spaceCount) counted(ctx context.Context) (metrics, error) {
	if s.admin == "" {
		return nil, nil
	}
	h := &http.Client{Timeout: 10 * time.Second}
	defer h.CloseIdleConnections()
	return readMetrics(ctx, h, s.admin)
}

// kinds adds up the files of each kind, and the bytes of the messages that are there.
func (s *spaceCount) kinds() (kinds []kindSum, payload int64, err error) {
	log, cold := kindSum{kind: "log", counter: "log"}, kindSum{kind: "cold", counter: "cold"}
	index, journal := kindSum{kind: "index", counter: "index"}, kindSum{kind: "journal", counter: "journal"}
	queues := kindSum{kind: "queues", counter: "queue"}
	for key, sum := range s.sums {
		payload += sum.payload
		journal.written += sum.fired * 16 // about what an entry takes
		k := &log
		if isCold(key.lane) {
			k = &cold
			log.written += sum.bytes                                 // their first copy, and its entry
			index.written += sum.messages * delayindex.EntrySize / 2 // about what one takes in a run
		}
		k.files += s.files[key.lane]
		k.used += sum.used
		k.allocated += sum.Total()
		k.written += sum.used
	}
	log.ever = byteCount(s.ends(0, store.CancelLane))
	var errs []error
	walk := func(k *kindSum, dir string) *kindSum {
		errs = append(errs, k.walk(filepath.Join(s.dir, dir)))
		return k
	}
	walk(&index, store.IndexDir).used = index.allocated
	index.written += index.used
	walk(&journal, store.JournalDir).used = segmentBytes(s.m, journalLane)
	journal.ever = byteCount(s.ends(journalLane, journalLane+1))
	slots, given := int64(0), int64(0)
	for _, q := range s.m.Queues {
		slots, given = slots+q.Next-q.Min, given+q.Next
	}
	walk(&queues, store.ConsumeQueueDir).used = slots * consumequeue.EntrySize
	queues.written, queues.ever = queues.used, byteCount(given*consumequeue.EntrySize)
	keys := kindSum{kind: "keys", counter: "keys"}
	walk(&keys, store.KeysDir).used = keys.allocated
	keys.written = keys.used
	cancel := kindSum{kind: "cancel"}
	walk(&cancel, store.CancelDir).used = segmentBytes(s.m, store.CancelLane)
	cancel.written = cancel.used
	spare := kindSum{kind: "spare"}
	walk(&spare, store.SpareDir)
	rest := kindSum{kind: "manifest", files: 1, used: s.m.Size, allocated: s.m.Size + s.m.Torn, written: s.m.Size}
	return []kindSum{log, cold, index, keys, journal, queues, cancel, spare, rest}, payload, errors.Join(errs...)
}

// walk counts the files below a directory.
func (k *kindSum) walk(dir string) error {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if isGone(err) {
			return nil
		}
		if err == nil {
			k.files++
			k.allocated += info.Size()
		}
		return err
	})
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("count files: %w", err)
	}
	return nil
}

// ends adds up where the lanes from one to before another end: offsets only grow, so
// it is at least what was ever appended.
func (s *spaceCount) ends(from, to int) (total int64) {
	for lane := from; lane < to; lane++ {
		if segments := s.m.Segments[uint8(lane)]; len(segments) > 0 {
			total += segments[len(segments)-1].End
		}
	}
	return total
}

// segmentBytes is what the MANIFEST knows to be in the segments of a lane.
func segmentBytes(m *store.Manifest, lane uint8) (total int64) {
	for _, x := range m.Segments[lane] {
		total += x.End - x.Base
	}
	return total
}
