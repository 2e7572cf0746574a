package message

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

func batchOf(t require.TestingT, items ...BatchItem) (b []byte) {
	for i := range items {
		var err error
		b, err = AppendBatchItem(b, &items[i])
		require.NoError(t, err)
	}
	return b
}

func readBatch(b []byte) (items []BatchItem, err error) {
	for item, err := range Batch(b) {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

func TestBatchYieldsItsItemsInOrder(t *testing.T) {
	want := []BatchItem{
		{Flag: 1, Body: []byte("b0"), Properties: "UNIQ_KEY\x01a\x02"},
		{Body: []byte{}, Properties: ""},
		{Flag: -1, Body: []byte("b2"), Properties: "WAIT\x01true"},
	}
	got, err := readBatch(batchOf(t, want...))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestBatchItemHasTheCapturedLayout(t *testing.T) {
	b := batchOf(t, BatchItem{Body: []byte("b0"), Properties: "1234567890123456789012"})
	require.Equal(t, "0000002e0000000000000000000000000000000262300016", hex.EncodeToString(b[:24]))
	require.Len(t, b, 0x2e)
}

func TestEmptyBatchHasNoItems(t *testing.T) {
	items, err := readBatch(nil)
	require.NoError(t, err)
	require.Empty(t, items)
}

func TestBatchStopsAtTheFirstMalformedItem(t *testing.T) {
	good := batchOf(t, BatchItem{Body: []byte("one"), Properties: "A\x011"})
	for name, change := range map[string]func([]byte) []byte{
		"cut":               func(b []byte) []byte { return b[:len(b)-1] },
		"rest too short":    func(b []byte) []byte { return b[:batchFixed-1] },
		"size zero":         func(b []byte) []byte { binary.BigEndian.PutUint32(b, 0); return b },
		"size negative":     func(b []byte) []byte { binary.BigEndian.PutUint32(b, 1<<31); return b },
		"body too long":     func(b []byte) []byte { binary.BigEndian.PutUint32(b[16:], 1<<31-1); return b },
		"properties differ": func(b []byte) []byte { b[24]++; return b },
	} {
		t.Run(name, func(t *testing.T) {
			b := append(append([]byte(nil), good...), change(append([]byte(nil), good...))...)
			items, err := readBatch(b)
			require.ErrorIs(t, err, ErrBatch)
			require.Len(t, items, 1)
		})
	}
}

func FuzzBatch(f *testing.F) {
	f.Add(batchOf(f, BatchItem{Body: []byte("one"), Properties: "A\x011"}, BatchItem{Flag: 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := readBatch(b)
		if err != nil {
			return
		}
		again, err := readBatch(batchOf(t, items...))
		require.NoError(t, err)
		require.Equal(t, items, again)
	})
}

func BenchmarkAppend(b *testing.B) {
	m := sample()
	m.Body = make([]byte, 1024)
	var dst []byte
	b.SetBytes(int64(Size(m)))
	b.ReportAllocs()
	for b.Loop() {
		dst, _ = Append(dst[:0], m)
	}
}

func BenchmarkDecode(b *testing.B) {
	m := sample()
	m.Body = make([]byte, 1024)
	rec := encode(b, m)
	b.SetBytes(int64(len(rec)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Decode(rec, m); err != nil {
			b.Fatal(err)
		}
	}
}
