package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// errMerged says that a run of the key index was merged or dropped after the
// MANIFEST was read: the next one tells where its entries are.
var errMerged = errors.New("the runs of the key index change all the time")

// keyPath is the path of a run of the key index relative to its store.
func keyPath(lane uint8, r keyindex.RunInfo) string {
	return filepath.Join(store.KeysDir, fmt.Sprint(lane), keyindex.RunName(r))
}

// byKeyIndex looks the key up in the runs of the key index, and scans what they do
// not stand for. A run covers the lane offsets in its name. Between two of them
// there may be no message with a key, or a run that was given up, which only the log
// can tell.
func (f *finder) byKeyIndex(ctx context.Context) error {
	lanes, err := listLanes(f.dir, f.m)
	if err != nil {
		return err
	}
	k := &keyLookup{f: f, files: newRecordFiles(f.dir, f.m), hashes: f.hashes()}
	defer k.files.close()
	k.ask()
	var rest []stretch
	for _, lane := range lanes {
		holes, err := k.lane(ctx, lane)
		if err != nil {
			return err
		}
		rest = append(rest, holes...)
	}
	f.e.note("looked into %d runs of the key index, for %d topics", k.runs, len(k.hashes))
	if k.unreadable > 0 {
		f.e.note("at %d places of which it knows no message can be read: they are damaged or given back; see duelogctl verify %s", k.unreadable, f.dir)
	}
	if f.identified() {
		f.e.note("found by its UNIQ_KEY: what no run of the key index stands for, as what was stored last, is not scanned; --scan reads it, for one that was sent twice")
		return nil
	}
	for _, s := range rest {
		read, err := f.scanned(ctx, []stretch{s})
		if err != nil {
			return err
		}
		if read > 0 {
			f.e.note("scanned %s of lane %d, %s: %s", humanText(byteCount(read)), s.lane, s, f.whyScanned(s))
		}
	}
	return nil
}

// identified tells whether the message is found, so that nothing has to be scanned for it:
// a UNIQ_KEY has one message, unless it was sent again. One that has moved to a cold file
// since is not found before that is.
func (f *finder) identified() bool {
	for _, l := range f.lives {
		if l.id == f.what.key && !l.damaged && !f.m.Moved(l.item.When, l.item.Loc) {
			return true
		}
	}
	return false
}

// whyScanned says why no run stands for a stretch of a lane.
func (f *finder) whyScanned(s stretch) string {
	upTo, indexed := f.m.KeysUpTo[s.lane]
	switch {
	case !indexed:
		return "the lane has no key index"
	case s.from >= upTo:
		return "its keys are not in a file yet"
	default:
		return "no run of the key index stands for it: no message there has a key, or it is older than the index, or its run is damaged"
	}
}

// hashes are those under which the index has the key, one for each topic.
func (f *finder) hashes() []uint64 {
	topics := map[string]bool{f.what.topic: true}
	if f.what.topic == "" {
		topics = map[string]bool{}
		for _, q := range f.m.Queues {
			topics[q.Topic] = true
		}
	}
	var out []uint64
	for topic := range maps.Keys(topics) {
		out = append(out, broker.KeyHash(topic, f.what.key))
	}
	return out
}

// keyLookup is one look into the key index.
type keyLookup struct {
	f          *finder
	files      *recordFiles
	hashes     []uint64
	runs       int
	unreadable int
}

// asks is how many runs are read ahead at a time: what a disk, or a network, takes for one
// place it takes for several, and processors have nothing to do meanwhile.
const asks = 16

// ask has the places of all runs that the key leads to read at the same time, and so in
// memory when they are looked into one after the other. What cannot be read is told then.
func (k *keyLookup) ask() {
	var g errgroup.Group
	g.SetLimit(asks)
	for lane, runs := range k.f.m.KeyRuns {
		for _, ri := range runs {
			g.Go(func() error {
				rf, err := keyindex.OpenRunFile(filepath.Join(k.f.dir, keyPath(lane, ri)))
				if err != nil {
					return nil
				}
				defer rf.Close()
				for _, h := range k.hashes {
					_ = rf.Find(h, func(uint64) bool { return false })
				}
				return nil
			})
		}
	}
	_ = g.Wait()
}

// lane looks into the runs of a lane and returns what none of them stands for.
func (k *keyLookup) lane(ctx context.Context, lane uint8) (rest []stretch, err error) {
	at := int64(0)
	for _, ri := range k.f.m.KeyRuns[lane] {
		ok, err := k.run(lane, ri)
		if err := cmp.Or(err, ctx.Err()); err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if k.runs++; at < ri.Start {
			rest = append(rest, stretch{lane, at, ri.Start})
		}
		at = max(at, ri.End)
	}
	if upTo := k.f.m.KeysUpTo[lane]; at < upTo {
		rest = append(rest, stretch{lane, at, upTo})
		at = upTo
	}
	return append(rest, stretch{lane, at, maxOffset}), nil
}

// run looks into one run; ok is false if what it stands for has to be scanned.
func (k *keyLookup) run(lane uint8, ri keyindex.RunInfo) (ok bool, err error) {
	rf, err := keyindex.OpenRunFile(filepath.Join(k.f.dir, keyPath(lane, ri)))
	if isGone(err) && !k.listed(lane, ri) {
		return false, errMerged
	}
	if err == nil {
		defer rf.Close()
		err = k.find(rf)
	}
	var damaged *keyindex.CorruptionError
	if errors.As(err, &damaged) || isGone(err) {
		k.f.e.note("%v: the log is scanned instead; next: duelogctl verify %s", err, k.f.dir)
		return false, nil
	}
	return err == nil, err
}

func (k *keyLookup) listed(lane uint8, ri keyindex.RunInfo) bool {
	m, err := store.ReadManifest(k.f.dir)
	return err == nil && slices.Contains(m.KeyRuns[lane], ri)
}

func (k *keyLookup) find(rf *keyindex.RunFile) error {
	for _, h := range k.hashes {
		var failed error
		err := rf.Find(h, func(loc uint64) bool {
			failed = k.visit(commitlog.Loc(loc))
			return failed == nil && !k.f.tooMany
		})
		if err := cmp.Or(failed, err); err != nil {
			return err
		}
	}
	return nil
}

// visit reads the message at loc and takes it up if it has the key: hashes collide.
func (k *keyLookup) visit(loc commitlog.Loc) error {
	if !isRecorded(k.f.m, loc) {
		k.f.leadTo(loc)
		return nil // recycled, or moved to a cold file
	}
	r, err := k.files.at(loc)
	switch {
	case err != nil && !isGone(err) && !isDamage(err):
		return err
	case err != nil || !r.message:
		k.unreadable++
		k.f.leadTo(loc)
	case k.f.what.is(loc, r.payload, &r.msg):
		return k.f.foundRecord(k.files, r, byIndex)
	default:
		return k.otherKey(r)
	}
	return nil
}

// otherKey takes up a message that does not have the key: another one with the same hash,
// or the one whose key is not what was written.
func (k *keyLookup) otherKey(r *recordAt) error {
	if r.cold != nil {
		return nil
	}
	good, err := k.files.inGoodFrame(r.item.Loc)
	if isGone(err) {
		return nil
	}
	if !good {
		k.unreadable++
		k.f.leadTo(r.item.Loc)
	}
	return err
}

// leadTo notes that the key index has the key at a place where no message with it can be
// read: its recall may be left.
func (f *finder) leadTo(loc commitlog.Loc) {
	if len(f.ledTo) < maxFound {
		f.ledTo[loc] = true
	}
}
