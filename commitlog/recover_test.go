package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog/segment"
)

// rewrite edits a segment file of a closed lane.
func (ln *lane) rewrite(base int64, edit func(b []byte) []byte) {
	ln.t.Helper()
	path := ln.path(base)
	b, err := os.ReadFile(path)
	require.NoError(ln.t, err)
	require.NoError(ln.t, os.WriteFile(path, edit(b), 0o644))
}

func (ln *lane) path(base int64) string { return filepath.Join(ln.dir, fmt.Sprintf("%020d", base)) }

// written is a closed lane with one frame per payload, and the frames' ends.
func written(t testing.TB, o Options, payloads ...string) (*lane, []int64) {
	ln := newLane(t, o)
	l, _ := ln.open()
	var ends []int64
	for i, p := range payloads {
		ln.own.setNow(1000 + int64(i))
		put(t, l, p)
		ends = append(ends, l.Tail())
	}
	require.NoError(t, l.Close())
	return ln, ends
}

func TestFileCutAtEveryByteKeepsTheWholeFramesBefore(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two-two", "three")
	whole, err := os.ReadFile(ln.path(0))
	require.NoError(t, err)
	for cut := range ends[2] + 1 {
		require.NoError(t, os.WriteFile(ln.path(0), whole[:cut], 0o644))
		n := 0
		for n < 3 && ends[n] <= cut {
			n++
		}
		l, s := ln.open()
		want := []string{"one", "two-two", "three"}[:n]
		require.Equal(t, want, append([]string{}, s.payloads...), "cut %d", cut)
		require.Empty(t, s.stats.Damaged, "cut %d", cut)
		put(t, l, "again")
		require.NoError(t, l.Close())
		l, s = ln.open()
		require.Equal(t, append(slices.Clone(want), "again"), s.payloads, "cut %d", cut)
		require.NoError(t, l.Close())
	}
}

func TestTornTailAtEveryByteIsDropped(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two-two", "three")
	for cut := ends[1]; cut < ends[2]; cut++ {
		c := ln.copy()
		c.rewrite(0, func(b []byte) []byte {
			for i := cut; i < ends[2]; i++ {
				b[i] ^= 0x5a
			}
			return b
		})
		l, s := c.open()
		require.Equal(t, []string{"one", "two-two"}, s.payloads, "cut %d", cut)
		require.Empty(t, s.stats.Damaged)
		require.Equal(t, ends[1], l.Tail())
		if cut >= ends[1]+FrameHeaderSize {
			require.Equal(t, ends[2]-ends[1], s.stats.TornBytes)
		}
		require.NoError(t, l.Close())
	}
}

// copy is the same closed lane in another directory.
func (ln *lane) copy() *lane {
	c := newLane(ln.t, ln.o)
	c.own.segs, c.own.ms = ln.own.registered(), ln.own.now()
	require.NoError(ln.t, os.CopyFS(c.dir, os.DirFS(ln.dir)))
	return c
}

func TestFlippedByteInTheMiddleCostsOneFrame(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two-two", "three", "four")
	for at := ends[0]; at < ends[1]; at++ {
		c := ln.copy()
		c.rewrite(0, func(b []byte) []byte { b[at] ^= 0x40; return b })
		l, s := c.open()
		require.Len(t, s.stats.Damaged, 1, "byte %d", at)
		require.Equal(t, ends[0], s.stats.Damaged[0].From)
		require.Equal(t, []string{"one", "three", "four"}, s.payloads, "byte %d", at)
		require.Equal(t, ends[1], s.stats.Damaged[0].To)
		require.Equal(t, ends[3], l.Tail(), "byte %d", at)
		var again seen
		err := l.Scan(0, l.Tail(), again.visit)
		var corrupt *CorruptionError
		require.ErrorAs(t, err, &corrupt)
		require.Equal(t, ends[0], corrupt.Offset)
		require.Equal(t, ln0(l), corrupt.Path)
		require.Equal(t, s.payloads, again.payloads)
		require.NoError(t, l.Close())
	}
}

func ln0(l *Log) string { return l.chain.Path(0) }

func TestDamageInASealedSegmentDoesNotHideItsSuccessors(t *testing.T) {
	big := strings.Repeat("b", 4000)
	ln, ends := written(t, Options{}, "one", "two", big, "last")
	ln.rewrite(0, func(b []byte) []byte {
		clear(b[ends[0]:])
		return b
	})
	l, s := ln.open()
	require.Equal(t, []string{"one", big, "last"}, s.payloads)
	info := ln.own.registered()[0]
	require.Equal(t, []Damage{{ends[0], info.End}}, s.stats.Damaged)
	require.Equal(t, ends[3], l.Tail())
}

func TestRecycledFileNeverReplaysItsFormerFrames(t *testing.T) {
	pool, err := segment.OpenPool(t.TempDir(), 2)
	require.NoError(t, err)
	ln := newLane(t, Options{Pool: pool})
	l, _ := ln.open()
	put(t, l, "old-one", "old-two", "old-three", strings.Repeat("z", 4000))
	require.NoError(t, l.Remove(0))
	ln.own.segs = slices.Delete(ln.own.segs, 0, 1)
	put(t, l, strings.Repeat("n", 4000)) // takes the recycled file
	put(t, l, strings.Repeat("m", 3000))
	require.NoError(t, l.Close())
	l, s := ln.open()
	require.Len(t, s.payloads, 3)
	require.Empty(t, s.stats.Damaged)
	require.NoError(t, l.Close())
}

func TestEmptyRecycledSegmentIsTheTail(t *testing.T) {
	ln, _ := written(t, Options{}, "one", "two", strings.Repeat("b", 4000))
	former, err := os.ReadFile(ln.path(0))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(ln.path(4096), former, 0o644))
	l, s := ln.open()
	require.Equal(t, []string{"one", "two"}, s.payloads)
	require.EqualValues(t, 4096, l.Tail())
	locs := put(t, l, "new")
	require.NoError(t, l.Close())
	_, s = ln.open()
	require.Equal(t, []string{"one", "two", "new"}, s.payloads)
	require.Equal(t, locs[0], s.locs[2])
}

// frameBytes encodes one frame of plain records for a position.
func frameBytes(off, storeMs int64, payloads ...string) []byte {
	b := batch{buf: make([]byte, FrameHeaderSize)}
	for _, p := range payloads {
		b.add(&Record{Payload: []byte(p)}, nil, 0)
	}
	h := frameHeader{records: uint16(len(payloads)), loc: MakeLoc(0, off), storeMs: storeMs}
	h.encode(b.buf)
	return b.buf
}

func TestZombieFrameBehindTheTailIsNotReplayed(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two") // stored at 1000 and 1001
	zombie := frameBytes(ends[1], 1000, "zombie")
	ln.rewrite(0, func(b []byte) []byte { copy(b[ends[1]:], zombie); return b })
	ln.own.setNow(0) // the clock went back
	l, s := ln.open()
	require.Equal(t, []string{"one", "two"}, s.payloads)
	require.Equal(t, ends[1], l.Tail())
	put(t, l, "")
	require.NoError(t, l.Close())

	// The new frame is shorter than the zombie; behind it nothing comes to life.
	_, s = ln.open()
	require.Equal(t, []string{"one", "two", ""}, s.payloads)
	require.Empty(t, s.stats.Damaged)
}

func TestHeaderOfATornFrameIsErasedOnOpen(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two")
	good, err := os.ReadFile(ln.path(0))
	require.NoError(t, err)
	ln.rewrite(0, func(b []byte) []byte { b[ends[1]-1] ^= 1; return b })
	l, s := ln.open()
	require.Equal(t, ends[1]-ends[0], s.stats.TornBytes)
	require.NoError(t, l.Close())
	// What was torn gets its missing bytes back. It stays dead.
	ln.rewrite(0, func(b []byte) []byte { copy(b[ends[1]-1:], good[ends[1]-1:]); return b })
	_, s = ln.open()
	require.Equal(t, []string{"one"}, s.payloads)
	require.Zero(t, s.stats.TornBytes)
}

func TestClockStartsBeyondARegisteredTimeThatWasNotScanned(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two") // the newest frame is of 1001
	ln.own.segs[0] = SegmentInfo{End: ends[1], LastStoreMs: 1001}
	ln.own.setNow(0)
	l, s := ln.openAt(ends[1])
	require.Empty(t, s.payloads)
	c := &catcher{done: make(chan struct{})}
	require.NoError(t, l.Append(&Record{}, c, 0))
	<-c.done
	require.Greater(t, c.storeMs, int64(1001))
}

func TestFrameInsideATornPayloadIsNotReplayed(t *testing.T) {
	ln, ends := written(t, Options{}, "one")
	inner := ends[0] + FrameHeaderSize + RecordHeaderSize + 10
	payload := "0123456789" + string(frameBytes(inner, 1<<40, "forged")) + strings.Repeat("t", 100)
	l, _ := ln.open()
	put(t, l, payload)
	end := l.Tail()
	require.NoError(t, l.Close())
	ln.rewrite(0, func(b []byte) []byte { b[end-1] ^= 1; return b })
	_, s := ln.open()
	require.Equal(t, []string{"one"}, s.payloads)
	require.Empty(t, s.stats.Damaged)
}

func TestStoreTimeNeverDecreases(t *testing.T) {
	ln := newLane(t, Options{})
	var last int64
	for _, now := range []int64{5000, 100, 5001, 0} {
		ln.own.setNow(now)
		l, _ := ln.open()
		for range 2 {
			c := &catcher{done: make(chan struct{})}
			require.NoError(t, l.Append(&Record{}, c, 0))
			<-c.done
			require.GreaterOrEqual(t, c.storeMs, max(last, now))
			last = c.storeMs
		}
		require.NoError(t, l.Close())
	}
	require.Greater(t, last, int64(5001), "each incarnation starts beyond the former")
}

func TestTailNeverFallsBehindWhatWasRegistered(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two", "three")
	ln.rewrite(0, func(b []byte) []byte { return b[:ends[0]] })
	ln.own.segs[0].End = ends[1]
	l, s := ln.openAt(ends[2])
	require.Empty(t, s.payloads)
	require.Len(t, s.stats.Damaged, 1)
	require.Equal(t, ends[2], s.stats.Damaged[0].To)
	require.Equal(t, ends[2], l.Tail())
	put(t, l, "new")
	require.NoError(t, l.Close())
	_, s = ln.open()
	require.Equal(t, []string{"one", "new"}, s.payloads)
}

func TestLaneStartsAtANewStrideWhenAllSegmentsAreGone(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.openAt(4100)
	require.EqualValues(t, 8192, l.Tail())
	loc := put(t, l, "a")[0]
	require.EqualValues(t, 8192+FrameHeaderSize+RecordHeaderSize, loc.Offset())
}

func TestFiguresOfTheOpenSegmentAreRestoredAndNotCountedTwice(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	put(t, l, "a")
	_, err := putOne(l, Record{When: 77_000, Flags: FlagScheduled})
	require.NoError(t, err)
	checkpoint := l.Segments()
	from := l.Tail()
	ln.own.setNow(2000)
	put(t, l, "b")
	_, err = putOne(l, Record{When: 99_000, Flags: FlagScheduled})
	require.NoError(t, err)
	want := l.Segments()
	require.NoError(t, l.Close())
	require.Equal(t, SegmentInfo{
		End: l.Tail(), Records: 4, MaxStoreMs: 2000, MaxFireMs: 99_000, CreatedMs: 1000, LastStoreMs: 2000,
	}, want[0])

	for _, at := range []int64{0, from} {
		for _, segs := range [][]SegmentInfo{checkpoint, want, {{Base: 0}}} {
			ln.own.segs = segs
			l, _ := ln.openAt(at)
			require.Equal(t, want, l.Segments(), "from %d with %v", at, segs)
			require.NoError(t, l.Close())
		}
	}
}

func TestScanFromACheckpointVisitsOnlyWhatFollows(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two", strings.Repeat("b", 4000), "four")
	_, s := ln.openAt(ends[1])
	require.Len(t, s.payloads, 2)
	l, s := ln.openAt(ends[3])
	require.Empty(t, s.payloads)
	require.Equal(t, ends[3], l.Tail())
}

func TestUnregisteredSegmentIsAdopted(t *testing.T) {
	big := strings.Repeat("b", 4000)
	ln, ends := written(t, Options{}, "one", big, big, "four")
	all := ln.own.registered()
	ln.own.segs = all[1:2]
	l, s := ln.open()
	require.Equal(t, []string{"one", big, big, "four"}, s.payloads)
	require.Equal(t, []int64{0, 8192}, s.stats.Adopted[:2])
	require.Len(t, l.Segments(), len(all))
	require.Equal(t, ends[3], l.Tail())
	require.NoError(t, l.Close())

	ln.own.segs = nil
	l, s = ln.openAt(4096)
	require.Equal(t, []string{big, big, "four"}, s.payloads, "below from it is counted, not visited")
	require.EqualValues(t, 1, l.Segments()[0].Records)
}

func TestUnusedFilesAreRecycled(t *testing.T) {
	pool, err := segment.OpenPool(t.TempDir(), 2)
	require.NoError(t, err)
	ln, _ := written(t, Options{Pool: pool}, "one")
	require.NoError(t, os.WriteFile(ln.path(3*4096), make([]byte, 4096), 0o644))
	require.NoError(t, os.WriteFile(ln.path(1*4096), make([]byte, 4096), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(ln.dir, "notes.txt"), nil, 0o644))
	_, s := ln.open()
	require.Empty(t, s.stats.Adopted)
	require.NoFileExists(t, ln.path(3*4096))
	require.FileExists(t, ln.path(1*4096), "is the next one anyway")
	require.FileExists(t, filepath.Join(ln.dir, "notes.txt"))
	require.Equal(t, 1, pool.Spares(4096))
}

func TestMissingSegmentIsDamageAndItsLocationsAreNotReused(t *testing.T) {
	big := strings.Repeat("b", 4000)
	ln, _ := written(t, Options{}, "one", big, big)
	require.NoError(t, os.Remove(ln.path(8192)))
	l, s := ln.open()
	require.Equal(t, []string{"one", big}, s.payloads)
	require.Equal(t, []int64{8192}, s.stats.Missing)
	require.Equal(t, []Damage{{8192, 12288}}, s.stats.Damaged)
	require.EqualValues(t, 12288, l.Tail())
	require.Len(t, l.Segments(), 2)
}

func TestNewerVersionIsAVersionErrorAndFlippedVersionByteIsDamage(t *testing.T) {
	ln, ends := written(t, Options{}, "one", "two", "three")
	flipped := ln.copy()
	flipped.rewrite(0, func(b []byte) []byte { b[ends[0]+3] = 2; return b })
	_, s := flipped.open()
	require.Equal(t, []string{"one", "three"}, s.payloads)

	newer := ln.copy()
	newer.rewrite(0, func(b []byte) []byte {
		frame := b[ends[0]:ends[1]]
		h, err := parseFrameHeader(frame)
		require.NoError(t, err)
		h.encode(frame)
		frame[3] = 2
		resum(frame)
		return b
	})
	_, _, err := Open(newer.dir, newer.own.registered(), 0, nil, &newer.o)
	require.ErrorIs(t, err, ErrVersion)
	var corrupt *CorruptionError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, ends[0], corrupt.Offset)
}

func TestAnotherSegmentSizeIsRefused(t *testing.T) {
	ln, _ := written(t, Options{SegmentSize: 8192}, "one")
	ln.o.SegmentSize = 4096
	_, _, err := Open(ln.dir, ln.own.registered(), 0, nil, &ln.o)
	require.ErrorIs(t, err, segment.ErrSize)
	_, _, err = Open(ln.dir, []SegmentInfo{{Base: 100}}, 0, nil, &ln.o)
	require.ErrorIs(t, err, segment.ErrSize)
}

func TestErrorOfVisitEndsOpen(t *testing.T) {
	ln, _ := written(t, Options{}, "one")
	stop := errors.New("stop")
	_, _, err := Open(ln.dir, ln.own.registered(), 0, func(Frame) error { return stop }, &ln.o)
	require.ErrorIs(t, err, stop)
}

// resum makes the checksum of an edited frame right again.
func resum(frame []byte) {
	binary.LittleEndian.PutUint32(frame[12:], checksum(frame))
}
