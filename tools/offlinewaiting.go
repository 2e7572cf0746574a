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
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// offlineWaiting reads what waits in the store at dir, in the order in which it
// fires. It only reads and takes no lock. The entries of all lanes are brought into
// order in bounded memory, see refSorter; then their records are read one by one.
func offlineWaiting(ctx context.Context, e *env, dir string, sel *selection) iter.Seq2[waiting, error] {
	return func(yield func(waiting, error) bool) {
		m, err := readManifest(dir)
		if err != nil {
			yield(waiting{}, err)
			return
		}
		sorter := newRefSorter("", byFiring)
		defer sorter.close()
		if err := collectWaiting(ctx, e, dir, m, sel, sorter); err != nil {
			yield(waiting{}, err)
			return
		}
		records := &recordFiles{dir: dir, m: m, open: map[string]*os.File{}}
		defer records.close()
		enough := errors.New("the caller wants no more")
		err = sorter.each(func(r *ref) error {
			w := waiting{fireMs: r.ms}
			if err := records.read(r, &w.msg); err != nil {
				sel.skipped++
				e.note("the message at %v, due %v: %v", r.loc, plainText(ms(r.ms)), err)
				return ctx.Err()
			}
			if !yield(w, nil) {
				return enough
			}
			return ctx.Err()
		})
		if err != nil && !errors.Is(err, enough) {
			yield(waiting{}, err)
		}
	}
}

// byFiring is the order in which messages fire.
func byFiring(a, b *ref) int {
	x := delayindex.Entry{When: delayindex.MakeWhen(a.ms, 0), Loc: uint64(a.loc)}
	y := delayindex.Entry{When: delayindex.MakeWhen(b.ms, 0), Loc: uint64(b.loc)}
	return cmp.Or(delayindex.Compare(&x, &y), cmp.Compare(a.loc, b.loc))
}

// collectWaiting gives the sorter every entry that is not done.
func collectWaiting(ctx context.Context, e *env, dir string, m *store.Manifest, sel *selection, sorter *refSorter) error {
	names := namesOf(m)
	lanes, err := listLanes(dir, m)
	if err != nil {
		return err
	}
	fired, err := firedSince(dir, m)
	if err != nil {
		return err
	}
	index := &indexCount{span: span{lo: sel.fromMs, hi: sel.toMs, byTime: true}}
	add := func(x *delayindex.Entry) error {
		q, known := names[x.Queue]
		_, done := slices.BinarySearch(fired, x.Loc)
		switch {
		case done || m.Done(x.FireMs(), commitlog.Loc(x.Loc)), x.FireMs() < sel.fromMs || x.FireMs() >= sel.toMs,
			!known, // its topic was deleted
			sel.topic != "" && sel.topic != q.Topic:
			return nil
		}
		return sorter.add(ref{loc: commitlog.Loc(x.Loc), ms: x.FireMs(), queue: x.Queue, size: x.Size, kind: refRecord})
	}
	for _, lane := range lanes {
		if err := errors.Join(index.runs(ctx, e, dir, lane, m, add), index.unindexed(ctx, e, dir, lane, m, add)); err != nil {
			return err
		}
	}
	if index.bad {
		return hint(fmt.Errorf("export %s: the delay index is damaged, so the export would not be whole", dir), "stop the broker and make it anew: duelogctl rebuild %s", dir)
	}
	return nil
}

// recordFiles reads records out of the segments of a store.
type recordFiles struct {
	dir  string
	m    *store.Manifest
	open map[string]*os.File
	buf  []byte
}

// maxOpenSegments bounds the files that are open at once.
const maxOpenSegments = 64

// read reads the message of r. It is a view that ends with the next one.
func (f *recordFiles) read(r *ref, msg *message.Message) error {
	file, base, err := f.segment(r.loc)
	if err != nil {
		return err
	}
	if cap(f.buf) < int(r.size) {
		if r.size > commitlog.MaxFrameBytes {
			return fmt.Errorf("a record of %d bytes cannot be", r.size)
		}
		f.buf = make([]byte, r.size)
	}
	b := f.buf[:r.size]
	if _, err := file.ReadAt(b, r.loc.Offset()-base); err != nil {
		return err
	}
	if err := message.Decode(b, msg); err != nil {
		return err
	}
	return message.CheckBody(msg)
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
	for path, file := range f.open {
		file.Close()
		delete(f.open, path)
	}
}
