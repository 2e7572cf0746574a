package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// maxFound is how many messages find tells about.
const maxFound = 1000

func findCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "find KEY|ID|LOC STORE",
		Short: "The life of a message, across all files of a store",
		Long: `Tell what became of a message: when and where it was stored, in which run of the delay
index it waits, whether it was cancelled, when it fired, and which slot of its queue it
has. The message is named by one of its KEYS, by its UNIQ_KEY (the message id that
clients show), by its offset message id (32 or 56 hex digits), or by its location
LANE:OFFSET.

A location is looked up in its segment or cold file; a message that has moved to a cold
file has a new one. For keys all of the log is read, several files at a time. It only reads, and may be run on a store in use. The exit code is 1 if there is no
such message.`,
		Example: `  duelogctl find order-42 ./data
  duelogctl find 7F000001000078C90000000000003C6E ./data --json
  duelogctl find 1:4056 ./data`,
		Args: arguments("KEY|ID|LOC", "STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return finished(cmd.Context(), e.find(cmd.Context(), args[0], args[1]))
		},
	}
}

// sought is what find looks for: a location or a key.
type sought struct {
	loc   commitlog.Loc
	byLoc bool
	key   string
}

func parseSought(s string) sought {
	if lane, off, ok := strings.Cut(s, ":"); ok {
		l, err1 := strconv.ParseUint(lane, 10, 8)
		o, err2 := strconv.ParseInt(off, 10, 56)
		if err1 == nil && err2 == nil && o >= 0 {
			return sought{loc: commitlog.MakeLoc(uint8(l), o), byLoc: true}
		}
	}
	if _, off, err := message.ParseOffsetID(s); err == nil && off >= 0 {
		return sought{loc: commitlog.Loc(off), byLoc: true, key: s}
	}
	return sought{key: s}
}

// is tells whether a record is the one; m is scratch.
func (s *sought) is(it *commitlog.Item, payload []byte, m *message.Message) bool {
	if s.byLoc && it.Loc == s.loc {
		return true
	}
	if s.key == "" || message.Decode(payload, m) != nil {
		return false
	}
	return message.Get(m.Properties, message.PropUniqKey) == s.key ||
		slices.Contains(strings.Fields(message.Get(m.Properties, message.PropKeys)), s.key)
}

// life is a message and what is known about it.
type life struct {
	item     commitlog.Item
	file     string
	offset   int64 // of the record in the file
	storedMs int64
	id       string // UNIQ_KEY
	firings  []store.Firing
	slots    []slotOf
}

// slotOf is a slot of a queue and where it stands.
type slotOf struct {
	slot   int64
	ms     int64
	file   string
	offset int64
}

func (e *env) find(ctx context.Context, what, dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	f := &finder{e: e, dir: dir, m: m, names: namesOf(m), what: parseSought(what)}
	if err := f.log(ctx); err != nil {
		return err
	}
	if err := errors.Join(f.journal(), f.queues(ctx)); err != nil {
		return err
	}
	if f.cancelled, err = cancelledIn(dir, m); err != nil {
		return err
	}
	if err := f.print(); err != nil {
		return err
	}
	if len(f.lives) == 0 {
		e.note("no message %s in the store", what)
		return errFindings
	}
	return nil
}

type finder struct {
	e     *env
	dir   string
	m     *store.Manifest
	names queueNames
	what  sought

	mu        sync.Mutex
	lives     []*life // guarded by mu while the log is read
	cancelled []uint64
}

// log looks for the messages: in one segment, or in all.
func (f *finder) log(ctx context.Context) error {
	lanes, err := listLanes(f.dir, f.m)
	if err != nil {
		return err
	}
	onlyLoc := f.what.byLoc && f.what.key == ""
	var g errgroup.Group
	g.SetLimit(readers())
	if !onlyLoc {
		f.e.note("reading all of the log")
	}
	for _, lane := range lanes {
		if onlyLoc && lane != f.what.loc.Lane() {
			continue
		}
		if isCold(lane) {
			for i := range f.m.Cold {
				g.Go(func() error { return f.coldFile(ctx, &f.m.Cold[i], onlyLoc) })
			}
			continue
		}
		files, err := listSegments(f.dir, f.m, lane)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		for _, file := range files {
			if off := f.what.loc.Offset(); onlyLoc && (off < file.base || off >= file.base+file.size) {
				continue
			}
			g.Go(func() error { return f.segment(ctx, file) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(f.lives, func(a, b *life) int {
		return cmp.Or(cmp.Compare(a.storedMs, b.storedMs), cmp.Compare(a.item.Loc, b.item.Loc))
	})
	if len(f.lives) > maxFound {
		f.e.note("more than %d messages; the first are told about", maxFound)
		f.lives = f.lives[:maxFound]
	}
	return nil
}

func (f *finder) segment(ctx context.Context, file segmentFile) error {
	var m message.Message
	info, _ := segmentInfo(f.m, file.lane, file.base)
	_, err := commitlog.ScanFile(file.path, commitlog.FileScan{
		Lane: file.lane, Base: file.base, Known: info.End, Whole: !file.last, Limit: sealedEnd(info),
		Visit: func(fr commitlog.Frame) error {
			for it, payload := range fr.Items() {
				if f.what.is(&it, payload, &m) {
					f.found(&life{
						item: it, file: relative(f.dir, file.path), offset: it.Loc.Offset() - commitlog.RecordHeaderSize - file.base, storedMs: fr.StoreMs,
					}, payload)
				}
			}
			return ctx.Err()
		},
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // recycled since it was listed
	}
	return err
}

// coldFile looks for the messages in a cold file. A record has no offset in it: that
// of its block stands for it.
func (f *finder) coldFile(ctx context.Context, info *cold.Info, onlyLoc bool) error {
	if off := f.what.loc.Offset(); onlyLoc && (off < info.Base || off >= info.Base+info.Size) {
		return nil
	}
	var m message.Message
	return eachColdRecord(ctx, f.dir, info, func(r *cold.File, it *commitlog.Item, err error) error {
		if err != nil || onlyLoc && it.Loc != f.what.loc {
			return nil // verify tells what is lost
		}
		payload, err := r.View(it.Loc.Offset(), it.Size)
		if err != nil || !f.what.is(it, payload, &m) {
			return err
		}
		l := &life{item: *it, file: segmentPath(store.ColdLane, info.Base)}
		if at, ok := r.Block(it.Loc.Offset()); ok {
			l.offset = at.Offset
		}
		if message.Decode(payload, &m) == nil {
			l.storedMs = m.StoreMs // the frame in which it arrived is gone
		}
		f.found(l, payload)
		return nil
	})
}

func (f *finder) found(l *life, payload []byte) {
	if id, ok := uniqKeyOf(payload).(string); ok {
		l.id = id
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lives) <= maxFound {
		f.lives = append(f.lives, l)
	}
}

func (f *finder) at(loc commitlog.Loc) *life {
	for _, l := range f.lives {
		if l.item.Loc == loc {
			return l
		}
	}
	return nil
}

func (f *finder) journal() error {
	if len(f.lives) == 0 {
		return nil
	}
	return eachFiring(f.dir, f.m, 0, func(x store.Firing) error {
		if l := f.at(x.Loc); l != nil {
			l.firings = append(l.firings, x)
		}
		return nil
	})
}

// queues looks for the slots of the messages in the files of their queues.
func (f *finder) queues(ctx context.Context) error {
	dir := filepath.Join(f.dir, store.ConsumeQueueDir)
	entries, err := consumequeue.ReadFormat(dir)
	if err != nil || len(f.lives) == 0 {
		return nil // no files, no slots; verify tells what is wrong with them
	}
	ids := map[uint32]bool{}
	for _, l := range f.lives {
		ids[l.item.Queue] = true
	}
	for _, q := range f.m.Queues {
		if !ids[q.ID] {
			continue
		}
		sub := filepath.Join(dir, q.Topic, strconv.Itoa(int(q.Num)))
		bases, err := consumequeue.ListFiles(sub, entries)
		if err != nil {
			return err
		}
		for _, base := range bases {
			path := filepath.Join(sub, consumequeue.FileName(base))
			err := consumequeue.ScanFile(path, base, max(base, q.Min), func(slot int64, x consumequeue.Entry, err error) bool {
				if l := f.at(commitlog.Loc(x.Loc)); err == nil && l != nil && x.Flags&consumequeue.FlagVoid == 0 {
					l.slots = append(l.slots, slotOf{slot, x.DeliverMs, relative(f.dir, path), (slot - base) * consumequeue.EntrySize})
				}
				return ctx.Err() == nil
			})
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return ctx.Err()
}

// print tells the lives, event by event.
func (f *finder) print() error {
	t := f.e.table("key", "loc", "queue", "event", "time", "file", "offset", "detail")
	for _, l := range f.lives {
		put := func(event string, at any, file any, off any, detail string) {
			t.row(l.id, l.item.Loc.String(), f.names.name(l.item.Queue), event, at, file, off, detail)
		}
		put("accepted", ms(l.storedMs), l.file, l.offset, fmt.Sprintf("%d bytes", l.item.Size))
		if l.item.Scheduled() {
			if err := f.waiting(l, put); err != nil {
				return err
			}
		}
		for _, x := range l.firings {
			put("fired", ms(x.FiredMs), store.JournalDir, nil, fmt.Sprintf("slot %d", x.Slot))
		}
		for _, s := range l.slots {
			put("visible", ms(s.ms), s.file, s.offset, fmt.Sprintf("slot %d", s.slot))
		}
		if !l.item.Scheduled() && len(l.slots) == 0 {
			put("slot", nil, l.file, l.offset, fmt.Sprintf("slot %d by its record; the queue has no file for it: not yet, or no more", l.item.When))
		}
	}
	return t.close()
}

// waiting tells where a scheduled message waits, or that it does not any more.
func (f *finder) waiting(l *life, put func(event string, at, file, off any, detail string)) error {
	if f.m.Moved(l.item.When, l.item.Loc) {
		put("moved", nil, filepath.Dir(segmentPath(store.ColdLane, 0)), nil, "to a cold file: what becomes of it stands there")
		return nil
	}
	file, off, err := f.indexed(l)
	if err != nil {
		return err
	}
	switch {
	case file != "":
		put("indexed", nil, file, off, "in a run of the delay index")
	case len(l.firings)+len(l.slots) == 0 && l.item.Loc.Offset() >= indexedUpTo(f.m, l.item.Loc.Lane()):
		put("indexed", nil, nil, nil, "in memory only: the lane is in runs up to "+strconv.FormatInt(f.m.IndexedUpTo[l.item.Loc.Lane()], 10))
	}
	if _, yes := slices.BinarySearch(f.cancelled, uint64(l.item.Loc)); yes {
		put("cancelled", nil, store.CancelDir, nil, "it does not fire")
		return nil
	}
	state, e := "pending", itemEntry(&l.item)
	if len(l.firings)+len(l.slots) == 0 && f.m.Covers(&e) {
		state = "expired"
		put(state, ms(l.item.When), nil, nil, "it has fired, and its slot was trimmed")
		return nil
	}
	if len(l.firings)+len(l.slots) == 0 {
		put(state, ms(l.item.When), nil, nil, "it fires then")
	} else {
		put("due", ms(l.item.When), nil, nil, "")
	}
	return nil
}

// indexed finds the entry of a message in its run; "" if there is none.
func (f *finder) indexed(l *life) (file string, off int64, err error) {
	lane := l.item.Loc.Lane()
	for _, ri := range f.m.Runs[lane] {
		if o := l.item.Loc.Offset(); o < ri.Start || o >= ri.End || l.item.When < ri.MinFireMs || l.item.When > ri.MaxFireMs {
			continue
		}
		rf, err := delayindex.OpenRunFile(filepath.Join(f.dir, runPath(lane, ri)))
		if err != nil {
			f.e.note("%v; next: duelogctl verify %s", err, f.dir)
			continue
		}
		off, found, err := entryIn(rf, l)
		if err = errors.Join(err, rf.Close()); err != nil || found {
			return runPath(lane, ri), off, err
		}
	}
	return "", 0, nil
}

func entryIn(rf *delayindex.RunFile, l *life) (off int64, found bool, err error) {
	var block []delayindex.Entry
	for i := rf.FirstBlock(l.item.When); i < rf.Blocks(); i++ {
		if block, err = rf.Block(i, block[:0]); err != nil {
			return 0, false, err
		}
		for j := range block {
			if commitlog.Loc(block[j].Loc) == l.item.Loc {
				return rf.BlockOffset(i) + int64(j)*delayindex.EntrySize, true, nil
			}
		}
		if block[len(block)-1].FireMs() > l.item.When {
			return 0, false, nil
		}
	}
	return 0, false, nil
}
