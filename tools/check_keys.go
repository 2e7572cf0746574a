package tools

import (
	"cmp"
	"slices"
	"sync"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/broker"
)

// The key index is checked against the log in one pass over each. While the lanes
// are read (step 3 of a check), the keys of all messages are summed up by the runs
// that should have them; then each run is read and its entries are summed up. Equal
// sums mean equal sets: that every entry leads to a message with this key, and that no
// key is missing. Only a run whose sums differ is compared key by key (check_keydiff.go).
// Entries of places that the lanes' check could not read, because of holes and of
// damage, are left out of the sums and looked at one by one.
//
// So memory is a few words for each run, and each hole.

// keyPiece is a part of a lane for which one run of the key index stands, or none.
type keyPiece struct {
	lane     uint8
	from, to int64
	run      *keyindex.RunInfo // nil: no run stands for it

	mu     sync.Mutex
	log    keySum            // guarded by mu: of the messages
	first  commitlog.Loc     // guarded by mu: of a message with a key; 0 = none
	unseen []commitlog.Range // guarded by mu: what could not be read as frames or blocks
}

// keySum is a sum over a set of (hash, loc), the same in any order. Sets that differ
// have the same sum once in 2^128 cases.
type keySum struct{ n, a, b uint64 }

func (s *keySum) add(e keyindex.Entry) {
	s.n++
	s.a += scramble(e.Hash ^ e.Loc*0x9e3779b97f4a7c15)
	s.b += scramble(e.Hash*0xd6e8feb86659fd93 + e.Loc)
}

func (s *keySum) merge(o keySum) { s.n, s.a, s.b = s.n+o.n, s.a+o.a, s.b+o.b }

// scramble lets every bit of x change about half of the others.
func scramble(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// keyPieces cuts the lanes at the runs of the key index, up to where it reaches.
func (c *check) keyPieces() map[uint8][]*keyPiece {
	out := map[uint8][]*keyPiece{}
	for lane, upTo := range c.m.KeysUpTo {
		at := int64(0)
		runs := c.m.KeyRuns[lane]
		for i := range runs {
			if at < runs[i].Start {
				out[lane] = append(out[lane], &keyPiece{lane: lane, from: at, to: runs[i].Start})
			}
			out[lane] = append(out[lane], &keyPiece{lane: lane, from: runs[i].Start, to: runs[i].End, run: &runs[i]})
			at = max(at, runs[i].End)
		}
		if at < upTo {
			out[lane] = append(out[lane], &keyPiece{lane: lane, from: at, to: upTo})
		}
	}
	return out
}

// keyTally sums up the keys of the messages of a tile, in the order of the log.
type keyTally struct {
	pieces []*keyPiece
	now    *keyPiece // that of the last message
	sum    keySum
	first  commitlog.Loc
	hashes []uint64
	done   []keyPart
}

// keyPart is what a tally has for one piece.
type keyPart struct {
	piece *keyPiece
	sum   keySum
	first commitlog.Loc
}

// keyTally is nil for a lane without a key index.
func (c *check) keyTally(lane uint8) *keyTally {
	if len(c.keys[lane]) == 0 {
		return nil
	}
	return &keyTally{pieces: c.keys[lane]}
}

// record takes a message into account.
func (t *keyTally) record(loc commitlog.Loc, payload []byte) {
	if off := loc.Offset(); t.now == nil || off < t.now.from || off >= t.now.to {
		t.flush()
		if t.now = pieceAt(t.pieces, off); t.now == nil {
			return
		}
	}
	t.hashes = keysOf(payload, t.hashes[:0])
	for _, h := range t.hashes {
		t.sum.add(keyindex.Entry{Hash: h, Loc: uint64(loc)})
	}
	if t.first == 0 && len(t.hashes) > 0 {
		t.first = loc
	}
}

// keysOf appends the hashes by which a broker's message is found, each once.
func keysOf(payload []byte, dst []uint64) []uint64 {
	dst = broker.Keys(payload, dst)
	if len(dst) > 1 {
		slices.Sort(dst)
		dst = slices.Compact(dst)
	}
	return dst
}

// flush ends the sum of a piece.
func (t *keyTally) flush() {
	if t.now == nil {
		return
	}
	t.done = append(t.done, keyPart{t.now, t.sum, t.first})
	t.sum, t.first = keySum{}, 0
}

// commit adds what was summed up to the pieces.
func (t *keyTally) commit() {
	if t == nil {
		return
	}
	t.flush()
	for _, d := range t.done {
		d.piece.add(d.sum, d.first)
	}
}

func (p *keyPiece) add(sum keySum, first commitlog.Loc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.merge(sum)
	p.first = cmp.Or(p.first, first)
}

// unseen notes lane offsets that could not be read.
func (t *keyTally) unseen(from, to int64) {
	if t == nil {
		return
	}
	for _, p := range t.pieces {
		if lo, hi := max(from, p.from), min(to, p.to); lo < hi {
			p.mu.Lock()
			p.unseen = append(p.unseen, commitlog.Range{From: lo, To: hi})
			p.mu.Unlock()
		}
	}
}

// pieceAt finds the piece with a lane offset; nil if there is none.
func pieceAt(pieces []*keyPiece, off int64) *keyPiece {
	i, found := slices.BinarySearchFunc(pieces, off, func(p *keyPiece, off int64) int { return cmp.Compare(p.from, off) })
	if !found {
		i--
	}
	if i < 0 || off >= pieces[i].to {
		return nil
	}
	return pieces[i]
}
