package consumequeue

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEntryHasTheDocumentedBytes(t *testing.T) {
	e := Entry{Loc: 0x0102030405060708, Size: 0x11121314, Flags: FlagScheduled, Tag: 0x21222324, DeliverMs: 0x3132333435363738}
	require.Equal(t, "0807060504030201"+"14131211"+"0100"+"a511"+"2423222100000000"+"3837363534333231",
		hex.EncodeToString(AppendEntry(nil, 7, &e)))

	zero := AppendEntry([]byte("kept"), 0, &Entry{})
	require.Equal(t, hex.EncodeToString([]byte("kept"))+"0000000000000000"+"00000000"+"0000"+"f154"+"0000000000000000"+"0000000000000000",
		hex.EncodeToString(zero))
}

func TestDecodeEntryRefusesEveryFlippedBit(t *testing.T) {
	b := AppendEntry(nil, 42, &Entry{Loc: 1 << 40, Size: 1100, Tag: 77, DeliverMs: 1.7e12})
	for bit := range EntrySize * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		_, err := DecodeEntry(b, 42)
		require.ErrorIs(t, err, ErrChecksum, "bit %d", bit)
		b[bit/8] ^= 1 << (bit % 8)
	}
	_, err := DecodeEntry(b, 42)
	require.NoError(t, err)
}

func TestDecodeEntryRefusesZeroesInEverySlot(t *testing.T) {
	zero := make([]byte, EntrySize)
	for slot := range int64(200_000) {
		if _, err := DecodeEntry(zero, slot); err == nil {
			t.Fatalf("zeroes are an entry of slot %d", slot)
		}
	}
}

func TestDecodeEntryRefusesAnotherSlot(t *testing.T) {
	b := AppendEntry(nil, 42, &Entry{Loc: 5})
	for _, slot := range []int64{41, 43, 42 + 256<<10, 42 + 1<<32} {
		_, err := DecodeEntry(b, slot)
		require.ErrorIs(t, err, ErrChecksum, "slot %d", slot)
	}
}

func TestDecodeEntryKnowsANewerVersion(t *testing.T) {
	for _, off := range []int{13, 20, 31} { // a flag, the upper half of the tag hash
		b := AppendEntry(nil, 42, &Entry{Loc: 5})
		b[off] = 1
		binary.LittleEndian.PutUint16(b[14:], checksum(b, 42))
		_, err := DecodeEntry(b, 42)
		if off == 31 { // a far future is a number like any other
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, ErrVersion)
	}
}

func TestDecodeEntryRefusesShortBytes(t *testing.T) {
	b := AppendEntry(nil, 1, &Entry{Loc: 5})
	_, err := DecodeEntry(b[:EntrySize-1], 1)
	require.ErrorIs(t, err, ErrTruncated)
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(AppendEntry(nil, 0, &Entry{}), int64(0))
	f.Add(AppendEntry(nil, 42, &Entry{Loc: 1 << 60, Size: math.MaxUint32, Flags: knownFlags, Tag: math.MaxUint32, DeliverMs: -1}), int64(42))
	f.Add(make([]byte, EntrySize), int64(9))
	f.Add([]byte("short"), int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, slot int64) {
		if len(b) >= EntrySize { // let most inputs get past the checksum
			e, err := decodeForced(b, slot)
			if err == nil {
				require.Equal(t, EntrySize, len(AppendEntry(nil, slot, &e)))
			}
		}
		e, err := DecodeEntry(b, slot)
		if err != nil {
			return
		}
		require.Equal(t, b[:EntrySize], AppendEntry(nil, slot, &e))
	})
}

// decodeForced decodes b with the right checksum.
func decodeForced(b []byte, slot int64) (Entry, error) {
	b = append([]byte(nil), b[:EntrySize]...)
	binary.LittleEndian.PutUint16(b[14:], checksum(b, slot))
	return DecodeEntry(b, slot)
}
