package commitlog

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The bytes of version 1. They must never change.
const (
	goldenHeader = "444c4601" + // magic, version
		"02" + "00" + "0200" + // lane, flags, records
		"36000000" + // payload bytes
		"%crc%" +
		"0010000000000002" + // loc = lane 2, offset 4096
		"00e40b5402000000" // store time 10 000 000 000
	goldenPayload = "03000000" + "07000000" + "08000000" + "09000000" + // size, queue, tag, key
		"0100" + "d20400000000" + // flags | when 1234
		"616263" +
		"03000000" + "00000000" + "00000000" + "ffffffff" +
		"0000" + "ffffffffffff" + // when = 2^48-1
		"646566"
	goldenSum     = "610c8dc5"
	goldenSealSum = "9f3bd7e6"
	goldenSeal    = "444c4601" + "02" + "01" + "0000" + "00000000" + "%crc%" + "5610000000000002" + "00e40b5402000000"
)

func goldenFrame() []byte {
	b := batch{buf: make([]byte, FrameHeaderSize)}
	b.add(&Record{When: 1234, Flags: FlagScheduled, Queue: 7, Tag: 8, Key: 9, Payload: []byte("abc")}, nil, 0)
	b.add(&Record{When: maxWhen, Key: 1<<32 - 1, Payload: []byte("def")}, nil, 0)
	h := frameHeader{lane: 2, records: 2, loc: MakeLoc(2, 4096), storeMs: 10_000_000_000}
	h.encode(b.buf)
	return b.buf
}

func withSum(golden, sum string) string { return strings.Replace(golden, "%crc%", sum, 1) }

func TestFrameBytesAreThoseOfVersion1(t *testing.T) {
	require.Equal(t, withSum(goldenHeader, goldenSum)+goldenPayload, hex.EncodeToString(goldenFrame()))
	seal := make([]byte, FrameHeaderSize)
	h := frameHeader{lane: 2, flags: flagSeal, loc: MakeLoc(2, 4096+86), storeMs: 10_000_000_000}
	h.encode(seal)
	require.Equal(t, withSum(goldenSeal, goldenSealSum), hex.EncodeToString(seal))
}

// The fixture is a lane of two segments as version 1 wrote it: two batches and a
// seal, then a raw frame and a torn one.
func TestFixtureOfVersion1IsStillReadable(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "lane-v1"))))
	var raw string
	s := new(seen)
	l, stats, err := Open(dir, []SegmentInfo{{Base: 0}, {Base: 4096}}, 0, func(f Frame) error {
		if f.raw {
			raw = string(f.Payload)
		}
		return s.visit(f)
	}, &Options{SegmentSize: 4096})
	require.NoError(t, err)
	defer l.Close()
	require.Equal(t, []string{"first", "second", "third"}, s.payloads)
	require.Equal(t, "raw bytes", raw)
	require.EqualValues(t, 5, s.items[1].Queue)
	require.EqualValues(t, 4096+41, l.Tail())
	require.EqualValues(t, 61, stats.TornBytes)
	require.True(t, l.Segments()[0].Sealed)
}

func TestEachReasonHasItsOwnError(t *testing.T) {
	check := func(edit func(b []byte)) error {
		b := goldenFrame()
		edit(b)
		h, err := parseFrameHeader(b)
		if err != nil {
			return err
		}
		if err := h.placed(MakeLoc(2, 4096), int64(len(b))); err != nil {
			return err
		}
		return h.verify(b)
	}
	require.NoError(t, check(func([]byte) {}))
	require.ErrorIs(t, check(func(b []byte) { b[0] = 0 }), ErrMagic)
	require.ErrorIs(t, check(func(b []byte) { b[4] = 1 }), ErrPlace)
	require.ErrorIs(t, check(func(b []byte) { b[16]++ }), ErrPlace)
	require.ErrorIs(t, check(func(b []byte) { b[8]++ }), ErrTruncated)
	require.ErrorIs(t, check(func(b []byte) { binary.LittleEndian.PutUint32(b[8:], 1<<32-1) }), ErrTruncated)
	require.ErrorIs(t, check(func(b []byte) { b[24]++ }), ErrChecksum)
	require.ErrorIs(t, check(func(b []byte) { b[40]++ }), ErrChecksum)
	require.ErrorIs(t, check(func(b []byte) { b[3]++ }), ErrChecksum)
	require.ErrorIs(t, check(func(b []byte) { b[3]++; resum(b) }), ErrVersion)
	require.ErrorIs(t, check(func(b []byte) { b[5] = 0x80; resum(b) }), ErrVersion)
	_, err := ParseRecordHeader(make([]byte, RecordHeaderSize-1))
	require.ErrorIs(t, err, ErrRecord)
}

func TestLocHoldsLaneAndOffset(t *testing.T) {
	loc := MakeLoc(255, offsetMask)
	require.EqualValues(t, 255, loc.Lane())
	require.EqualValues(t, offsetMask, loc.Offset())
	require.EqualValues(t, 77, MakeLoc(0, 77))
	require.Equal(t, "3:4096", MakeLoc(3, 4096).String())
}
