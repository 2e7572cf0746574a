package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/testutil"
)

// everyOp is an edit with one operation of each kind.
func everyOp() edit {
	var e edit
	e.queue(7, queueKey{"orders", 3})
	e.queueExtent(7, 5, 9)
	e.segment(1, commitlog.SegmentInfo{Base: 4096, End: 5000, Sealed: true, Records: 3, MaxStoreMs: 10, MaxFireMs: 20, CreatedMs: 30, LastStoreMs: 40})
	e.run(1, delayindex.RunInfo{Start: 4096, End: 5000, Count: 3, MinFireMs: 1, MaxFireMs: 20})
	e.indexed(1, 5000)
	e.mark(mark{firedMs: 77, absorbed: [laneCount]int64{1, 2, 3, 4}, lightMs: 80, since: map[uint32]position{7: {when: 1, loc: 2}}})
	e.replay(replayPoint{journal: 11, lane0: 12})
	e.nextQueue(9)
	e.givenBack(1, 4096, commitlog.Range{From: 4096, To: 4200})
	e.units(1, 4096, 0, []unit{{8, 9}, {10, 0}})
	e.segmentGone(1, 4096)
	e.runGone(1, delayindex.RunInfo{Start: 4096, End: 5000})
	e.queueGone(7)
	return e
}

func writeEdits(t *testing.T, edits ...edit) (dir string) {
	dir = testutil.FastDir(t)
	m, _, err := openManifest(filepath.Join(dir, manifestName))
	require.NoError(t, err)
	for _, e := range edits {
		require.NoError(t, m.append(e))
	}
	require.NoError(t, m.close())
	return dir
}

func TestManifestOpsDescribesEveryOperation(t *testing.T) {
	dir := writeEdits(t, everyOp(), everyOp())
	var ops []ManifestOp
	require.NoError(t, ManifestOps(dir, func(op ManifestOp) bool { ops = append(ops, op); return true }))
	seen := map[string]bool{}
	for _, op := range ops {
		seen[op.Name] = true
		for _, f := range op.Fields {
			require.NotEqual(t, "bytes", f.Name, "%s: its layout leaves bytes over", op.Name)
		}
	}
	require.Len(t, seen, 14, "everyOp has all operations but those of the key index")
	require.Equal(t, ManifestOp{Offset: 32, Append: 1, Name: "queue", Fields: []ManifestField{
		{33, "id", int64(7)}, {37, "queue", int64(3)}, {41, "topic", "orders"},
	}}, ops[0])
	require.Equal(t, uint64(2), ops[len(ops)-1].Append)
	units := ops[slices.IndexFunc(ops, func(op ManifestOp) bool { return op.Name == "units" })]
	require.Equal(t, "2 units, up to 10/9", units.Fields[3].Value)
}

// Whoever adds an operation describes it, or nobody will know it in a dump.
func TestEveryOperationHasALayout(t *testing.T) {
	for op := range 256 {
		r := editReader{b: append([]byte{byte(op)}, make([]byte, 1<<12)...)}
		r.applyOne(newCatalogState())
		unknown := errors.Is(r.err, commitlog.ErrVersion)
		_, described := opLayouts[uint8(op)]
		require.Equal(t, !unknown, described, "operation %d", op)
	}
}

func TestReadManifestIsWhatTheEditsAddUpTo(t *testing.T) {
	var e edit
	e.queue(7, queueKey{"orders", 3})
	e.queueExtent(7, 5, 9)
	e.segment(1, commitlog.SegmentInfo{Base: 4096, End: 5000})
	e.mark(mark{firedMs: 77, absorbed: [laneCount]int64{0, 4500}})
	dir := writeEdits(t, e)
	path := filepath.Join(dir, manifestName)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(whole, 1, 2, 3), 0o644))

	m, err := ReadManifest(dir)
	require.NoError(t, err)
	require.Equal(t, []ManifestQueue{{ID: 7, Topic: "orders", Num: 3, Min: 5, Next: 9}}, m.Queues)
	require.Equal(t, int64(5000), m.Segments[1][0].End)
	require.Equal(t, int64(3), m.Torn)
	require.True(t, m.Done(77, commitlog.MakeLoc(1, 4499)))
	require.False(t, m.Done(78, commitlog.MakeLoc(1, 4499)))
	require.False(t, m.Done(77, commitlog.MakeLoc(1, 4500)))
	require.False(t, m.Done(77, commitlog.MakeLoc(200, 0)))

	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Len(t, after, len(whole)+3, "reading changes nothing")
}

// What stands before damage can be looked at, and is never taken for the whole.
func TestADamagedManifestIsReadUpToTheDamage(t *testing.T) {
	var first, second, third edit
	first.queue(7, queueKey{"orders", 3})
	second.queue(8, queueKey{"mails", 0})
	third.queue(9, queueKey{"bills", 0})
	dir := writeEdits(t, first, second, third)
	path := filepath.Join(dir, manifestName)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	at := int64(manifestHeaderSize + manifestRecordHeader + len(first))
	b[at+manifestRecordHeader] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o644))

	var damaged *commitlog.CorruptionError
	m, err := ReadManifest(dir)
	require.ErrorAs(t, err, &damaged)
	require.Nil(t, m)
	m, err = ReadManifestHead(dir)
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, at, damaged.Offset)
	require.Equal(t, []ManifestQueue{{ID: 7, Topic: "orders", Num: 3}}, m.Queues)
	require.Equal(t, int64(len(b))-at, m.Torn)
	var ops []string
	err = ManifestOps(dir, func(op ManifestOp) bool { ops = append(ops, op.Name); return true })
	require.ErrorAs(t, err, &damaged)
	require.Equal(t, []string{"queue"}, ops)
}

func TestReadManifestOfNoStoreIsNotExist(t *testing.T) {
	_, err := ReadManifest(testutil.FastDir(t))
	require.ErrorIs(t, err, fs.ErrNotExist)
}
