package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// offlineWaiting reads what waits in the store at dir, in the order in which it
// fires. It only reads and takes no lock. It goes through the time in windows of at
// most windowEntries entries (40 MiB), which it brings into order in memory; only a
// single millisecond may have more.
func offlineWaiting(ctx context.Context, e *env, dir string, sel *selection) iter.Seq2[waiting, error] {
	return func(yield func(waiting, error) bool) {
		w, err := newWaitingWindows(e, dir, sel)
		if err == nil {
			defer w.records.close()
			err = w.run(ctx, yield)
		}
		if err != nil && !errors.Is(err, errEnough) {
			yield(waiting{}, err)
		}
	}
}

const windowEntries = 1 << 20

// errEnough ends a listing of which the caller wants no more; errTooMany a window
// that has to be shorter.
var (
	errEnough  = errors.New("the caller wants no more")
	errTooMany = errors.New("the window has too many entries")
)

// waitingWindows is the state of one offlineWaiting.
type waitingWindows struct {
	e       *env
	dir     string
	sel     *selection
	m       *store.Manifest
	names   queueNames
	lanes   []uint8
	done    []uint64 // fired or recalled; sorted
	records *recordFiles
	entries []delayindex.Entry // of the present window
}

func newWaitingWindows(e *env, dir string, sel *selection) (*waitingWindows, error) {
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	w := &waitingWindows{e: e, dir: dir, sel: sel, m: m, names: namesOf(m), records: newRecordFiles(dir, m)}
	if w.lanes, err = listLanes(dir, m); err != nil {
		return nil, err
	}
	w.done, err = doneIn(dir, m)
	return w, err
}

// run goes from window to window. One that is too full is halved, the next one is
// tried with twice the length.
func (w *waitingWindows) run(ctx context.Context, yield func(waiting, error) bool) error {
	end := min(w.sel.toMs, delayindex.MaxFireMs+1)
	span := end - w.sel.fromMs
	for lo := w.sel.fromMs; lo < end; {
		hi := lo + min(span, end-lo)
		switch err := w.collect(ctx, lo, hi); {
		case errors.Is(err, errTooMany):
			span = (hi - lo) / 2
			continue
		case err != nil:
			return err
		}
		if err := w.emit(ctx, yield); err != nil {
			return err
		}
		lo, span = hi, span*2
	}
	return nil
}

// collect gathers the entries of [lo, hi) that are not done.
func (w *waitingWindows) collect(ctx context.Context, lo, hi int64) error {
	w.entries = w.entries[:0]
	index := &indexCount{span: span{lo: lo, hi: hi, byTime: true}}
	add := func(x *delayindex.Entry) error {
		if x.FireMs() < lo || x.FireMs() >= hi || !w.wanted(x) {
			return nil
		}
		if len(w.entries) == windowEntries && hi-lo > 1 {
			return errTooMany
		}
		w.entries = append(w.entries, *x)
		return nil
	}
	for _, lane := range w.lanes {
		err := index.runs(ctx, w.e, w.dir, lane, w.m, add)
		if err == nil {
			err = index.unindexed(ctx, w.e, w.dir, lane, w.m, add)
		}
		if err != nil {
			return err
		}
	}
	if index.bad {
		return hint(fmt.Errorf("export %s: the delay index is damaged, so the export would not be whole", w.dir), "stop the broker and make it anew: duelogctl rebuild %s", w.dir)
	}
	slices.SortFunc(w.entries, func(a, b delayindex.Entry) int { return delayindex.Compare(&a, &b) })
	return nil
}

// wanted tells whether an entry waits, for a topic that there is and that is asked for.
func (w *waitingWindows) wanted(x *delayindex.Entry) bool {
	q, known := w.names[x.Queue]
	if !known || w.sel.topic != "" && w.sel.topic != q.Topic || x.Flags()&delayindex.FlagTombstone != 0 {
		return false
	}
	_, done := slices.BinarySearch(w.done, x.Loc)
	return !done && !w.m.Covers(x)
}

// emit reads the records of the present window.
func (w *waitingWindows) emit(ctx context.Context, yield func(waiting, error) bool) error {
	for i := range w.entries {
		x := &w.entries[i]
		out := waiting{fireMs: x.FireMs()}
		err := w.records.checkFrame(commitlog.Loc(x.Loc))
		if err == nil {
			err = w.records.read(commitlog.Loc(x.Loc), x.Size, &out.msg)
		}
		if err != nil {
			w.sel.skipped++
			w.e.note("the message at %v, due %v: %v", commitlog.Loc(x.Loc), plainText(ms(x.FireMs())), err)
			continue
		}
		if !yield(out, nil) {
			return errEnough
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// recordFiles reads records out of the segments of a store.
type recordFiles struct {
	dir  string
	m    *store.Manifest
	open map[string]*os.File
	cold map[int64]*cold.File // by base
	buf  []byte

	damaged map[string][]commitlog.Damage // by segment, of those that were scanned; see checkFrame
	buffer  commitlog.ScanBuffer
}

func newRecordFiles(dir string, m *store.Manifest) *recordFiles {
	return &recordFiles{dir: dir, m: m, open: map[string]*os.File{}, cold: map[int64]*cold.File{}, damaged: map[string][]commitlog.Damage{}}
}

// maxOpenSegments bounds the files that are open at once.
const maxOpenSegments = 64

// read reads the message of size bytes at loc. It is a view that ends with the next one.
func (f *recordFiles) read(loc commitlog.Loc, size uint32, msg *message.Message) error {
	if size > commitlog.MaxFrameBytes {
		return fmt.Errorf("a record of %d bytes cannot be", size)
	}
	read := f.bytes
	if isCold(loc.Lane()) {
		read = f.coldBytes
	}
	b, err := read(loc, size)
	if err != nil {
		return err
	}
	if err := message.Decode(b, msg); err != nil {
		return err
	}
	return message.CheckBody(msg)
}

// bytes reads out of a segment.
func (f *recordFiles) bytes(loc commitlog.Loc, size uint32) ([]byte, error) {
	file, base, err := f.segment(loc)
	if err != nil {
		return nil, err
	}
	if cap(f.buf) < int(size) {
		f.buf = make([]byte, size)
	}
	b := f.buf[:size]
	_, err = file.ReadAt(b, loc.Offset()-base)
	return b, err
}

// maxOpenCold bounds the cold files that are open at once, each with a decoded
// block: 64 KiB but for longer messages.
const maxOpenCold = 16

// coldBytes reads out of a cold file. Messages that are wanted in the order in which
// they fire stand one behind the other in it.
func (f *recordFiles) coldBytes(loc commitlog.Loc, size uint32) ([]byte, error) {
	file, err := f.coldFile(loc)
	if err != nil {
		return nil, err
	}
	return file.View(loc.Offset(), int32(size))
}

// coldFile opens the cold file that holds loc.
func (f *recordFiles) coldFile(loc commitlog.Loc) (*cold.File, error) {
	info, ok := coldAt(f.m, loc.Offset())
	if !ok {
		return nil, errors.New("no cold file of the MANIFEST has it")
	}
	file := f.cold[info.Base]
	if file == nil {
		if len(f.cold) >= maxOpenCold {
			f.closeCold()
		}
		var err error
		if file, err = openCold(f.dir, &info); err != nil {
			return nil, err
		}
		f.cold[info.Base] = file
	}
	return file, nil
}

func (f *recordFiles) closeCold() {
	for base, file := range f.cold {
		file.Close()
		delete(f.cold, base)
	}
}

// segment opens the file that holds loc.
func (f *recordFiles) segment(loc commitlog.Loc) (*os.File, int64, error) {
	segments := f.m.Segments[loc.Lane()]
	i, found := slices.BinarySearchFunc(segments, loc.Offset(), func(s commitlog.SegmentInfo, off int64) int { return cmp.Compare(s.Base, off) })
	if !found {
		i--
	}
	if i < 0 {
		return nil, 0, errors.New("no segment of the MANIFEST has it")
	}
	base := segments[i].Base
	path := segmentPath(loc.Lane(), base)
	if file := f.open[path]; file != nil {
		return file, base, nil
	}
	if len(f.open) >= maxOpenSegments {
		f.close()
	}
	file, err := os.Open(f.dir + string(os.PathSeparator) + path)
	if err != nil {
		return nil, 0, err
	}
	f.open[path] = file
	return file, base, nil
}

func (f *recordFiles) close() {
	f.closeCold()
	for path, file := range f.open {
		file.Close()
		delete(f.open, path)
	}
}
