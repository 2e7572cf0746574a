package probe

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOwnUsageGrowsAndIsPartOfTheMachines(t *testing.T) {
	before, err := Self()
	require.NoError(t, err)
	host, err := ReadHost()
	require.NoError(t, err)
	for start := time.Now(); time.Since(start) < 60*time.Millisecond; {
	}
	after, err := Self()
	require.NoError(t, err)
	hostAfter, err := ReadHost()
	require.NoError(t, err)
	require.Positive(t, after.Sub(before).CPU)
	require.Positive(t, after.RSS)
	require.Positive(t, after.AnonRSS)
	require.GreaterOrEqual(t, hostAfter.Busy, host.Busy)
	require.GreaterOrEqual(t, hostAfter.LoadAvg, 0.0)
}

func TestDescendantsCount(t *testing.T) {
	cmd := exec.Command("sh", "-c", "while :; do :; done")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Contains(t, family([]int{os.Getpid()}), cmd.Process.Pid)
	require.Eventually(t, func() bool {
		u, err := Processes(cmd.Process.Pid)
		return err == nil && u.RSS > 0 && u.CPU > 0
	}, time.Minute, time.Millisecond)
}

func TestAProcessThatIsGoneCountsAsNothing(t *testing.T) {
	u, err := Processes(1 << 30)
	require.NoError(t, err)
	require.Zero(t, u)
}

func TestStatIsReadBehindTheName(t *testing.T) {
	own, children, err := parseCPU([]byte("12 (a) b) S 1 1 1 0 -1 0 0 0 0 0 10 20 3 4 20 0"))
	require.NoError(t, err)
	require.Equal(t, 300*time.Millisecond, own)
	require.Equal(t, 70*time.Millisecond, children)
	for _, bad := range []string{"", "12 (x", "12 (x) S 1", "12 (a) S 1 1 1 0 -1 0 0 0 0 0 ten 20 3 4 20 0"} {
		_, _, err := parseCPU([]byte(bad))
		require.Error(t, err, bad)
	}
	busy, err := parseBusy([]byte("cpu  1 2 3 400 500 6 7 8 9 10\ncpu0 1"))
	require.NoError(t, err)
	require.Equal(t, 270*time.Millisecond, busy)
	_, err = parseBusy([]byte("cpu 1"))
	require.Error(t, err)
}

func TestUnknownStaysUnknown(t *testing.T) {
	require.EqualValues(t, Unknown, Usage{WrittenBytes: Unknown}.Sub(Usage{WrittenBytes: 5}).WrittenBytes)
	require.EqualValues(t, Unknown, value([]byte("a: 1\n"), "b:"))
	require.EqualValues(t, 7, value([]byte("a: 1\nb:   7 kB\n"), "b:"))
}

func TestDiskUsageAddsUpFiles(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), make([]byte, 5000), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "b"), make([]byte, 10), 0o644))
	d, err := DiskUsage(dir)
	require.NoError(t, err)
	require.EqualValues(t, 5010, d.Apparent)
	gone, err := DiskUsage(filepath.Join(dir, "gone"))
	require.NoError(t, err)
	require.Zero(t, gone)
	m := ReadMachine(dir)
	require.NotEmpty(t, m.Kernel)
	require.NotEmpty(t, m.FileSystem)
	require.Positive(t, m.MemoryBytes)
}

func TestFetchedMemoryIsFreeAgain(t *testing.T) {
	const much = 256 << 20
	FetchMemory(much)
	FetchMemory(-1)
	after, err := Self()
	require.NoError(t, err)
	require.Less(t, after.RSS, int64(much))
}
