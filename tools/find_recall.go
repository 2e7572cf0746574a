package tools

import (
	"cmp"
	"context"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// A recalled message does not fire and does not move, so its record may be gone long
// before its recall is. The recall has its location, queue and fire time, and of its
// UNIQ_KEY a hash of 32 bits; of its KEYS it has nothing. That a message had them only
// the key index knows, which leads to its location for as long as the run that it is in
// stands, whatever became of the record.

// recallAt is the last word of the cancel log about a message, and where it stands.
type recallAt struct {
	message commitlog.Loc
	commitlog.Item
	revoked bool
	ms      int64 // when it was written
	file    string
	offset  int64 // in the file
	left    leftOf
	led     bool // the key index leads to it by the key that is sought
}

// leftOf is what is left of the record of a recalled message.
type leftOf int

const (
	leftNone  leftOf = iota // its place is not part of the log any more
	leftBytes               // its place is, but what is there is no message: given back, or damaged
	leftWrong               // there is one, in a frame whose checksum is wrong
	leftOther               // there is one, and it is what was written
)

// anew tells a record that was written to free an older segment: it knows neither queue
// nor id, and its time is not that of the recall.
func (r *recallAt) anew() bool { return r.Queue == 0 && r.Key == 0 }

// recalls looks for what the cancel log says of the messages, and of one that is sought
// and of which there is no record that can be read.
func (f *finder) recalls(ctx context.Context) error {
	f.recalled = map[commitlog.Loc]*recallAt{}
	err := f.eachFrame(ctx, store.CancelLane, 0, func(file string, off int64, fr *commitlog.Frame) error {
		for it, payload := range fr.Items() {
			loc, revoked, err := store.ParseCancel(payload)
			if err != nil || f.lives[loc] == nil && f.recalled[loc] == nil && !f.ledTo[loc] && !f.what.maybe(loc, &it, f.names) {
				continue
			}
			at := off + it.Loc.Offset() - commitlog.RecordHeaderSize - fr.Loc.Offset()
			f.recalled[loc] = &recallAt{message: loc, Item: it, revoked: revoked, ms: fr.StoreMs, file: file, offset: at, led: f.ledTo[loc]}
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.gone, err = f.withoutRecord()
	return err
}

// maybe tells whether a recalled message may be the one, by what its recall says of it.
func (s *sought) maybe(loc commitlog.Loc, it *commitlog.Item, names queueNames) bool {
	if s.topic != "" && names.topic(it.Queue) != s.topic {
		return false
	}
	return s.byLoc && loc == s.loc || s.key != "" && it.Key != 0 && it.Key == uint32(message.Hash(s.key))
}

// withoutRecord lists the recalled messages that are only known by their recall. Where
// there is another message it is not: two ids may have the same hash.
func (f *finder) withoutRecord() (gone []*recallAt, err error) {
	files := newRecordFiles(f.dir, f.m)
	defer files.close()
	for loc, x := range f.recalled {
		if f.lives[loc] != nil || x.revoked {
			continue
		}
		if x.left, err = f.leftAt(files, loc); err != nil {
			return nil, err
		}
		if x.left != leftOther {
			gone = append(gone, x)
		}
	}
	slices.SortFunc(gone, func(a, b *recallAt) int { return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.message, b.message)) })
	return gone, nil
}

// leftAt looks at what is left at a location.
func (f *finder) leftAt(files *recordFiles, loc commitlog.Loc) (leftOf, error) {
	if !isRecorded(f.m, loc) {
		return leftNone, nil
	}
	r, err := files.at(loc)
	switch {
	case isGone(err):
		return leftNone, nil
	case err != nil && !isDamage(err):
		return leftNone, err
	case err != nil || !r.message:
		return leftBytes, nil
	case r.cold != nil:
		return leftOther, nil
	}
	good, err := files.inGoodFrame(loc)
	switch {
	case isGone(err):
		return leftNone, nil
	case good || err != nil:
		return leftOther, err
	}
	return leftWrong, nil
}

// tell says what is known of a message of which only its recall is left.
func (r *recallAt) tell() string {
	due := "it was due " + plainText(ms(r.When))
	state := map[leftOf]string{
		leftNone:  "; its record is gone",
		leftBytes: "; its record was given back or is damaged",
		leftWrong: "; what its record says is wrong: the checksum of its frame is",
	}[r.left]
	if r.led {
		state += "; the key index knows it by this key"
	}
	return due + state + r.since()
}

// since says of a record that was written anew that its time is not that of the recall.
func (r *recallAt) since() string {
	if r.anew() {
		return "; recalled earlier, this was written anew"
	}
	return ""
}
