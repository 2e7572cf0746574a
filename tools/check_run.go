package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/duelog/duelog/delayindex"
)

// runSlice is how many entries of a run are in memory at once: 192 MiB.
const runSlice = 4 << 20

// openRun opens the tile's run; nil if it cannot be used, which is reported.
func (k *tileCheck) openRun() (*delayindex.RunFile, error) {
	f, err := delayindex.OpenRunFile(filepath.Join(k.l.c.dir, runPath(k.t.lane, *k.t.run)))
	if err != nil {
		return nil, k.runDamage(err, 0)
	}
	if !sameRun(f.Info(), *k.t.run) || f.Lane() != k.t.lane {
		err := k.runDamage(fmt.Errorf("%w: header is not that of the registered run", delayindex.ErrLayout), 0)
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sameRun compares what the file says of itself; what is hidden of it may change.
func sameRun(a, b delayindex.RunInfo) bool {
	a.CutMs, b.CutMs = 0, 0
	return a == b
}

// load reads the entries of the tile from its run, into location order. known is
// false if some could not be read.
func (k *tileCheck) load(f *delayindex.RunFile) (err error) {
	lo, hi := uint64(k.loc(k.t.from)), uint64(k.loc(k.t.to))
	info := f.Info()
	k.run.reset(lo, hi, int64(float64(info.Count)*float64(k.t.to-k.t.from)/float64(info.End-info.Start))) // about its part of them
	k.known = true
	var block []delayindex.Entry
	last := delayindex.Entry{}
	for i := range f.Blocks() {
		block, err = f.Block(i, block[:0])
		if err != nil {
			k.known = false
			if err := k.runDamage(err, f.BlockOffset(i)); err != nil {
				return err
			}
			continue
		}
		if k.t.first {
			k.order(f, i, block, last)
			k.l.c.count(int64(len(block)) * delayindex.EntrySize)
			last = block[len(block)-1]
		}
		k.run.add(block)
		if k.ctx.Err() != nil {
			return k.ctx.Err()
		}
	}
	k.run.sort()
	return nil
}

// order checks that entries stand in the order in which they fire.
func (k *tileCheck) order(f *delayindex.RunFile, i int64, block []delayindex.Entry, last delayindex.Entry) {
	for j := range block {
		if (i > 0 || j > 0) && delayindex.Compare(&last, &block[j]) > 0 {
			k.l.c.find(finding{
				severity: severityDamaged, check: "run", file: runPath(k.t.lane, *k.t.run), offset: f.RowOffset(i, j),
				what: "entries are not in the order in which they fire", lost: "messages come late or not at all",
				next: k.l.c.repairHint(),
			})
			return
		}
		last = block[j]
	}
}

// runDamage reports what is wrong with the run, unless it was dropped meanwhile.
// It returns err if it is not about the run's bytes.
func (k *tileCheck) runDamage(err error, off int64) error {
	var bad *delayindex.CorruptionError
	switch {
	case errors.As(err, &bad):
		off = bad.Offset
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, delayindex.ErrLayout):
	default:
		return err
	}
	if !k.t.first {
		return nil // another tile tells
	}
	for _, r := range k.l.c.latest().Runs[k.t.lane] {
		if sameRun(r, *k.t.run) {
			k.l.c.find(finding{
				severity: severityDamaged, check: "run", file: runPath(k.t.lane, *k.t.run), offset: off, what: err.Error(),
				lost: "nothing: the commit log has what it says",
				next: "restart the broker, which makes it anew of that, or: " + k.l.c.repairHint(),
			})
			return nil
		}
	}
	return nil
}
