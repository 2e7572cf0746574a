package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/store"
)

// keysLost is what damage to the key index costs.
const keysLost = "nothing: these messages are not found by key by the broker, everything else works"

// keysGivenUp is what to do about a run that does not open.
func (c *check) keysGivenUp() string {
	return "nothing: the next start gives the run up, and duelogctl find scans what it stood for; to have it again " + c.keysAnew()
}

// keysPassed is what to do about a run of which a part is wrong.
func (c *check) keysPassed() string {
	return "nothing: lookups pass over it, and duelogctl find --scan finds everything; to have it again " + c.keysAnew()
}

func (c *check) keysAnew() string {
	return fmt.Sprintf("stop the broker, then: duelogctl rebuild %s", c.dir)
}

// checkKeys reads the runs of the key index, several at a time.
func (c *check) checkKeys(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(readers())
	for _, lane := range slices.Sorted(maps.Keys(c.keys)) {
		c.keyTiling(lane)
		for _, p := range c.keys[lane] {
			if p.run == nil {
				c.keyGap(p)
				continue
			}
			g.Go(func() error {
				k := &keyRunCheck{c: c, p: p, file: keyPath(p.lane, *p.run), records: newRecordFiles(c.dir, c.m)}
				defer k.records.close()
				return k.check(ctx)
			})
		}
	}
	return g.Wait()
}

// keyTiling checks that the runs of a lane can belong to one index.
func (c *check) keyTiling(lane uint8) {
	end, upTo := int64(0), c.m.KeysUpTo[lane]
	for _, r := range c.m.KeyRuns[lane] {
		if r.Start < end || r.End <= r.Start || r.End > upTo {
			c.find(finding{
				severity: severityLost, check: "tiling", file: keyPath(lane, r),
				what: fmt.Sprintf("the run stands for [%d, %d), but the one before it ends at %d and the index at %d", r.Start, r.End, end, upTo),
				lost: "the store does not open", next: c.repairHint(),
			})
		}
		end = max(end, r.End)
	}
}

// keyGap tells of messages with keys that no run has, though the index reaches
// further.
func (c *check) keyGap(p *keyPiece) {
	if p.log.n == 0 {
		return
	}
	c.find(finding{
		severity: severityNotice, check: "keys", file: filepath.Join(store.KeysDir, fmt.Sprint(p.lane)),
		what: fmt.Sprintf("%d keys of messages from %v on, before offset %d, are in no run: they are older than the key index, or their run was given up", p.log.n, p.first, p.to),
		lost: keysLost, next: "nothing: duelogctl find scans that part; to have it " + c.keysAnew(),
	})
}

// keyRunCheck is the check of one run of the key index. One goroutine.
type keyRunCheck struct {
	c       *check
	p       *keyPiece
	file    string
	records *recordFiles

	sum     keySum // of the entries, those of unseen places left out
	damaged bool   // some entries could not be read
	wrong   keyWrong
	missing keyWrong
	hashes  []uint64
}

// keyWrong counts what does not agree, and keeps the first.
type keyWrong struct {
	n     int64
	first keyindex.Entry
	at    int64 // in the file of the run
}

func (w *keyWrong) add(e keyindex.Entry, at int64) {
	if w.n++; w.n == 1 {
		w.first, w.at = e, at
	}
}

func (k *keyRunCheck) check(ctx context.Context) error {
	k.p.unseen = joined(k.p.unseen)
	f, err := keyindex.OpenRunFile(filepath.Join(k.c.dir, k.file))
	if err != nil {
		return k.damage(err, k.c.keysGivenUp())
	}
	defer f.Close()
	if f.Info() != *k.p.run || f.Lane() != k.p.lane {
		return k.damage(fmt.Errorf("%w: header is not that of the registered run", keyindex.ErrLayout), k.c.keysGivenUp())
	}
	k.c.totals.keyRuns.Add(1)
	if err := k.read(ctx, f); err != nil || k.damaged {
		return err
	}
	if k.sum != k.p.log {
		k.wrong = keyWrong{} // what was looked at already is looked at again
		if err := k.compare(ctx, f); err != nil {
			return err
		}
	}
	k.report()
	return nil
}

// read checks all blocks of the run and sums their entries up.
func (k *keyRunCheck) read(ctx context.Context, f *keyindex.RunFile) error {
	var block []keyindex.Entry
	last, before := keyindex.Entry{}, false
	ordered := true
	for i := range f.Blocks() {
		var err error
		if block, err = f.Block(i, block[:0]); err != nil {
			k.damaged = true
			if err := k.damage(err, k.c.keysPassed()); err != nil {
				return err
			}
			before = false
			continue
		}
		k.c.count(keyBlock)
		ordered = ordered && f.Fence(i) == block[0].Hash
		for j, e := range block {
			ordered = ordered && (!before || compareKeys(last, e) <= 0) && k.covers(e)
			if before && last == e {
				continue // of a message that has the key twice
			}
			last, before = e, true
			if err := k.entry(e, f.BlockOffset(i)+int64(j)*keyindex.EntrySize); err != nil {
				return err
			}
		}
		if !ordered {
			k.damaged = true
			return k.damage(fmt.Errorf("%w: block %d has entries that are not in order or not of this run", keyindex.ErrLayout, i), k.c.keysPassed())
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// keyBlock is about what a block of a run has on disk.
const keyBlock = 4096

func compareKeys(a, b keyindex.Entry) int {
	return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Loc, b.Loc))
}

// covers tells whether an entry is of what the run stands for.
func (k *keyRunCheck) covers(e keyindex.Entry) bool {
	loc := commitlog.Loc(e.Loc)
	return loc.Lane() == k.p.lane && loc.Offset() >= k.p.from && loc.Offset() < k.p.to
}

// entry sums an entry up, or looks at its message where the log was not read.
func (k *keyRunCheck) entry(e keyindex.Entry, at int64) error {
	loc := commitlog.Loc(e.Loc)
	switch {
	case !isRecorded(k.c.m, loc):
		return nil // all of the segment is gone; the entry goes with the next merge
	case !contains(k.p.unseen, loc.Offset()):
		k.sum.add(e)
		return nil
	}
	return k.alone(e, at)
}

// alone looks at the message of one entry.
func (k *keyRunCheck) alone(e keyindex.Entry, at int64) error {
	loc := commitlog.Loc(e.Loc)
	if k.c.gaveBack(k.p.lane, loc.Offset()-commitlog.RecordHeaderSize, loc.Offset()+1) || !isRecorded(k.c.latest(), loc) {
		return nil
	}
	r, err := k.records.at(loc)
	switch {
	case err != nil && !isDamage(err) && !isGone(err):
		return err
	case err != nil, !r.message:
		if !contains(k.p.unseen, loc.Offset()) && isRecorded(k.c.latest(), loc) {
			k.wrong.add(e, at) // what is damaged has a finding of its own
		}
		return nil
	case k.c.gaveBack(k.p.lane, loc.Offset(), loc.Offset()+int64(r.item.Size)):
		return nil // its end is in the hole, or was when it was read
	}
	if k.hashes = keysOf(r.payload, k.hashes[:0]); !slices.Contains(k.hashes, e.Hash) {
		k.wrong.add(e, at)
	}
	return nil
}

// damage reports what is wrong with the file, unless it was merged or dropped
// meanwhile. It returns err if it is not about the file's bytes.
func (k *keyRunCheck) damage(err error, next string) error {
	var bad *keyindex.CorruptionError
	off := int64(0)
	switch {
	case errors.As(err, &bad):
		off = bad.Offset
	case isGone(err), errors.Is(err, keyindex.ErrLayout):
	default:
		return err
	}
	if k.listed() {
		k.c.find(finding{severity: severityDamaged, check: "keys", file: k.file, offset: off, what: err.Error(), lost: keysLost, next: next})
	}
	return nil
}

func (k *keyRunCheck) listed() bool {
	return slices.Contains(k.c.latest().KeyRuns[k.p.lane], *k.p.run)
}

// report tells what the comparison with the log found.
func (k *keyRunCheck) report() {
	put := func(w *keyWrong, what string) {
		if w.n > 0 && k.listed() {
			k.c.find(finding{severity: severityDamaged, check: "keys", file: k.file, offset: w.at, what: fmt.Sprintf(what, w.n, commitlog.Loc(w.first.Loc)), lost: keysLost, next: k.c.keysPassed()})
		}
	}
	put(&k.wrong, "%d entries lead to no message with their key, the first of them to %v")
	put(&k.missing, "%d keys of messages are not in it, the first is of the one at %v")
}

// joined sorts ranges and brings together those that touch.
func joined(ranges []commitlog.Range) []commitlog.Range {
	slices.SortFunc(ranges, func(a, b commitlog.Range) int { return cmp.Compare(a.From, b.From) })
	var out []commitlog.Range
	for _, r := range ranges {
		if n := len(out); n > 0 && r.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}

// contains tells whether one of joined ranges has an offset.
func contains(ranges []commitlog.Range, off int64) bool {
	i, found := slices.BinarySearchFunc(ranges, off, func(r commitlog.Range, off int64) int { return cmp.Compare(r.From, off) })
	return found || i > 0 && off < ranges[i-1].To
}

// strayKeys tells of files in the directories of the key index that nobody knows.
func (c *check) strayKeys() {
	lanes, _ := os.ReadDir(filepath.Join(c.dir, store.KeysDir))
	for _, lane := range lanes {
		files, _ := os.ReadDir(filepath.Join(c.dir, store.KeysDir, lane.Name()))
		for _, f := range files {
			name := filepath.Join(store.KeysDir, lane.Name(), f.Name())
			known := false
			for id, runs := range c.latest().KeyRuns {
				known = known || slices.ContainsFunc(runs, func(r keyindex.RunInfo) bool { return keyPath(id, r) == name })
			}
			if !known {
				c.stray(name, "a run of the key index that is not registered: being written, or left by a crash")
			}
		}
	}
}
