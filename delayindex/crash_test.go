package delayindex

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/runfile"
)

// image is a store at the moment of a crash: the files, and what the owner's
// manifest said.
type image struct {
	dir  string
	runs []RunInfo
	upTo int64
}

// takeImage copies the directory of an index.
func takeImage(t *testing.T, x *Index, runs []RunInfo, upTo int64) image {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(x.dir)))
	return image{dir: dir, runs: runs, upTo: upTo}
}

// requireRecovers opens an image, adds what the lane holds behind the manifest,
// and checks that nothing is lost, doubled or left lying about.
func (im image) requireRecovers(t *testing.T, lane []Entry) {
	t.Helper()
	x := openIndex(t, im.dir, im.runs, im.upTo)
	for i, e := range lane {
		if int64(e.Loc) >= im.upTo {
			x.Add(lane[i:], endOf(lane))
			break
		}
	}
	requireContent(t, x, lane)
	var names []string
	for _, ri := range im.runs {
		names = append(names, RunName(ri))
	}
	require.ElementsMatch(t, names, fileNames(t, im.dir))
}

func TestCrashAtAnyStepOfAFlushLosesNothing(t *testing.T) {
	lane := makeEntries(2*blockEntries+500, 0, within(3))
	x := openIndex(t, t.TempDir(), nil, 0)
	half := lane[:1000]
	first := addRun(t, x, half)
	x.Add(lane[1000:], endOf(lane))
	require.True(t, x.Freeze())
	before := []RunInfo{first}
	crash := func(runs []RunInfo, upTo int64) { takeImage(t, x, runs, upTo).requireRecovers(t, lane) }

	view := x.set.Frozen[0].acquire()
	defer view.release()
	order := view.order(0, MaxFireMs+1, nil)
	ri := order.info(view.m)
	path := x.set.Path(ri)
	require.NoError(t, writeRun(path, &header{RunInfo: ri}, &memIterator{view: &view, order: order, ready: true}))
	crash(before, first.End) // written, not renamed

	whole, err := os.ReadFile(path + runfile.TmpSuffix)
	require.NoError(t, err)
	for _, size := range []int{0, headerSize, len(whole) / 2, len(whole) - 1} {
		require.NoError(t, os.WriteFile(path+runfile.TmpSuffix, whole[:size], 0o644))
		crash(before, first.End) // half written
	}
	require.NoError(t, os.WriteFile(path+runfile.TmpSuffix, whole, 0o644))

	require.NoError(t, runfile.Publish(path))
	crash(before, first.End) // renamed, not registered

	after := []RunInfo{first, ri}
	crash(after, ri.End) // registered, not installed

	require.NoError(t, x.Install(ri, true))
	requireContent(t, x, lane)
	crash(after, ri.End)
}

func TestCrashAroundADropLeavesNoFile(t *testing.T) {
	lane := makeEntries(1000, 0, within(1))
	x := openIndex(t, t.TempDir(), nil, 0)
	old, young := lane[:400], lane[400:]
	dead := addRun(t, x, old)
	live := addRun(t, x, young)
	im := takeImage(t, x, []RunInfo{live}, live.End) // unregistered, not unlinked
	im.requireRecovers(t, young)
	require.NoError(t, x.Drop(dead))
	takeImage(t, x, []RunInfo{live}, live.End).requireRecovers(t, young)
}

func TestOpenKeepsEvidenceBesideADamagedRun(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(300, 0, within(1))
	a, b := addRun(t, x, lane[:100]), addRun(t, x, lane[100:200])
	orphan := addRun(t, x, lane[200:])
	im := takeImage(t, x, []RunInfo{a, b}, b.End)
	require.NoError(t, os.Truncate(filepath.Join(im.dir, RunName(b)), 100))

	_, err := Open(im.dir, im.runs, im.upTo, nil)
	var corrupt *CorruptionError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, b, corrupt.Run)
	require.Contains(t, fileNames(t, im.dir), RunName(orphan))

	// The remedy that the error's comment names.
	image{dir: im.dir, runs: []RunInfo{a}, upTo: corrupt.Run.Start}.requireRecovers(t, lane)
}

func TestOpenLeavesForeignFilesAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"notes.txt", "1.run", "2.run.tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	openIndex(t, dir, nil, 0)
	require.Equal(t, []string{"notes.txt"}, fileNames(t, dir))
}
