package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/duelog/duelog/delayindex"
)

// runSlice is how many entries of a run may be in memory at once: 192 MiB.
const runSlice = 4 << 20

// runReader reads a run of the index.
type runReader struct {
	l      *laneCheck
	run    *delayindex.RunInfo
	report bool // what is wrong with it; else somebody else does
}

// read hands out the entries of the run, which are valid during the call. known is
// false if some could not be read.
func (r *runReader) read(ctx context.Context, visit func([]delayindex.Entry)) (known bool, err error) {
	f, err := r.open()
	if f == nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	known = true
	var block []delayindex.Entry
	last := delayindex.Entry{}
	for i := range f.Blocks() {
		block, err = f.Block(i, block[:0])
		if err != nil {
			known = false
			if err := r.damaged(err, f.BlockOffset(i)); err != nil {
				return false, err
			}
			continue
		}
		if r.report {
			r.order(f, i, block, last)
			r.l.c.count(int64(len(block)) * delayindex.EntrySize)
			last = block[len(block)-1]
		}
		visit(block)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return known, nil
}

// open opens the run; nil if it cannot be used, which is reported.
func (r *runReader) open() (*delayindex.RunFile, error) {
	f, err := delayindex.OpenRunFile(filepath.Join(r.l.c.dir, runPath(r.l.lane, *r.run)))
	if err != nil {
		return nil, r.damaged(err, 0)
	}
	if !sameRun(f.Info(), *r.run) || f.Lane() != r.l.lane {
		err := r.damaged(fmt.Errorf("%w: header is not that of the registered run", delayindex.ErrLayout), 0)
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sameRun compares what the file says of itself; what is hidden of it may change.
func sameRun(a, b delayindex.RunInfo) bool {
	a.CutMs, b.CutMs = 0, 0
	return a == b
}

// order checks that entries stand in the order in which they fire.
func (r *runReader) order(f *delayindex.RunFile, i int64, block []delayindex.Entry, last delayindex.Entry) {
	for j := range block {
		if (i > 0 || j > 0) && delayindex.Compare(&last, &block[j]) > 0 {
			r.l.c.find(finding{
				severity: severityDamaged, check: "run", file: runPath(r.l.lane, *r.run), offset: f.RowOffset(i, j),
				what: "entries are not in the order in which they fire", lost: "messages come late or not at all",
				next: r.l.c.repairHint(),
			})
			return
		}
		last = block[j]
	}
}

// damaged reports what is wrong with the run, unless it was dropped meanwhile.
// It returns err if it is not about the run's bytes.
func (r *runReader) damaged(err error, off int64) error {
	var bad *delayindex.CorruptionError
	switch {
	case errors.As(err, &bad):
		off = bad.Offset
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, delayindex.ErrLayout):
	default:
		return err
	}
	if !r.report {
		return nil // another reader tells
	}
	for _, now := range r.l.c.latest().Runs[r.l.lane] {
		if sameRun(now, *r.run) {
			r.l.c.find(finding{
				severity: severityDamaged, check: "run", file: runPath(r.l.lane, *r.run), offset: off, what: err.Error(),
				lost: "nothing: the commit log has what it says",
				next: "restart the broker, which makes it anew of that, or: " + r.l.c.repairHint(),
			})
			return nil
		}
	}
	return nil
}
