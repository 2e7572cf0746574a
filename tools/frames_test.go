package tools

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

// overwriteIn replaces the one place of old in a file by as many bytes.
func overwriteIn(t *testing.T, path, old, with string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, 1, bytes.Count(b, []byte(old)), old)
	require.Len(t, with, len(old))
	require.NoError(t, os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(with), 1), 0o644))
}

// A letter of a key is wrong: the record looks well, only its frame knows.
func TestFindAndExportCheckTheFrame(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := makeFixture(t, dir)
	log := filepath.Join(dir, segmentPath(1, 0))
	overwriteIn(t, log, "k-DAY1", "k-DAY9")

	code, out, errs := run(t, "export", dir)
	require.Equal(t, ExitFindings, code, errs)
	require.Contains(t, errs, "the message at "+f.locs["DAY1"].String()+", due 2026-11-23T17:00:00.000Z: the frame around it is damaged")
	require.Contains(t, errs, "3 messages exported")
	require.Contains(t, errs, "1 messages cannot be read")
	require.NotContains(t, out, "DAY1")
	require.Contains(t, out, "DAY0")
	require.Contains(t, out, "DAY2")

	for _, what := range []string{"DAY1", f.locs["DAY1"].String()} {
		code, out, errs = run(t, "find", what, dir, "-o", "csv")
		require.Equal(t, ExitFindings, code, errs)
		require.Contains(t, out, "DAY1,"+f.locs["DAY1"].String()+",orders/0,damaged,,"+segmentPath(1, 0)+",235,\"the checksum of its frame is wrong", what)
		require.Contains(t, errs, "next: duelogctl verify "+dir)
	}
	code, _, errs = run(t, "find", "k-DAY1", dir)
	require.Equal(t, ExitFindings, code)
	require.Contains(t, errs, "at 1 places of which it knows no message can be read")
	code, _, errs = run(t, "find", "DAY1", dir, "--scan")
	require.Equal(t, ExitFindings, code)
	require.Contains(t, errs, "203 B of what was scanned hold no valid frame")
	for _, what := range []string{"DAY0", "DAY2", f.locs["DAY2"].String(), "SOON", "ORD1"} {
		code, out, errs = run(t, "find", what, dir, "-o", "csv")
		require.Equal(t, ExitOK, code, "%s: %s", what, errs)
		require.NotContains(t, out, "damaged")
	}
}

// A message whose body is a frame at its own place is no damage of the frame around it.
func TestAFrameThatIsForgedInABodyIsNoDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := int64(0)
	f := fixtureWith(t, dir, func(f *fixture) {
		const room = 400
		r := f.recordOf("FORGED", bytes.Repeat([]byte{'.'}, room), true, fixtureStart+7200_000)
		i := bytes.Index(r.Payload, bytes.Repeat([]byte{'.'}, room))
		at = int64(len(f.lanes[0])) + commitlog.FrameHeaderSize + commitlog.RecordHeaderSize + int64(i)
		forged := commitlog.AppendFiller(nil, commitlog.MakeLoc(0, at), fixtureStart+2, 100)
		r = f.recordOf("FORGED", append(forged, bytes.Repeat([]byte{'.'}, room-len(forged))...), true, fixtureStart+7200_000)
		other := f.record("BEHIND", true, fixtureStart+7200_000)
		f.frame(0, fixtureStart+2, []string{"FORGED", "BEHIND"}, r, other)
		f.m.Segments[0] = nil
		f.writeLane(0, 6, fixtureStart+7200_000)
		f.writeKeys()
	})
	require.NotZero(t, at)
	for _, key := range []string{"FORGED", "BEHIND"} {
		code, out, errs := run(t, "find", f.locs[key].String(), dir, "-o", "csv")
		require.Equal(t, ExitOK, code, errs)
		require.Contains(t, out, key)
		require.NotContains(t, out, "damaged")
	}
	require.Len(t, waitingIn(t, dir), 6)
}
