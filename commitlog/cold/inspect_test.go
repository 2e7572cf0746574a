package cold

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

func TestAFileIsReadBlockByBlock(t *testing.T) {
	dir := t.TempDir()
	recs := jsonRecords(5000)
	info := write(t, openSet(t, dir), testBase, recs)
	f := openFileOf(t, dir, info)
	l, err := f.Layout()
	require.NoError(t, err)
	require.Equal(t, Layout{
		Lane: testLane, Base: info.Base, CreatedMs: l.CreatedMs, TableAt: l.TableAt, FooterAt: info.FileSize - footerSize,
		Blocks: l.Blocks, Bytes: info.Size, Records: info.Records, MinFireMs: info.MinFireMs, MaxFireMs: info.MaxFireMs,
	}, l)

	var items []commitlog.Item
	blocks, at, pos := 0, int64(headerSize), info.Base
	for b := range f.Blocks() {
		require.Equal(t, at, b.Offset)
		require.Equal(t, pos, b.From)
		at, pos = at+b.Stored, b.To
		h, err := f.Header(b)
		require.NoError(t, err)
		require.True(t, h.Zstd, "JSON compresses")
		first := len(items)
		for it, err := range f.RecordsOf(b) {
			require.NoError(t, err)
			items = append(items, it)
		}
		require.Len(t, items[first:], int(h.Records))
		require.Equal(t, b.LastFireMs, items[len(items)-1].When)
		blocks++
	}
	require.Greater(t, blocks, 1)
	require.Equal(t, l.Blocks, blocks)
	require.Equal(t, l.TableAt, at)
	require.Equal(t, info.Base+info.Size, pos)
	require.Len(t, items, len(recs))

	for i, it := range items {
		got, payload, err := f.Record(it.Loc.Offset())
		require.NoError(t, err)
		require.Equal(t, it, got)
		if i == 0 {
			require.NotEmpty(t, payload)
		}
	}
	for _, off := range []int64{info.Base, info.Base + info.Size, info.Base + info.Size + commitlog.RecordHeaderSize, 0} {
		_, _, err := f.Record(off)
		require.Error(t, err)
	}
}

func TestTheLayoutOfADamagedFileIsWhatCanBeRead(t *testing.T) {
	dir := t.TempDir()
	info := write(t, openSet(t, dir), testBase, jsonRecords(500))
	path := filePath(dir, info)
	require.NoError(t, os.Truncate(path, info.FileSize-1))
	f := openFileOf(t, dir, info)
	require.NotEmpty(t, f.Damage())
	l, err := f.Layout()
	require.NoError(t, err)
	require.Equal(t, info.Base, l.Base)
	require.Zero(t, l.FooterAt)
}
