package command

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
)

func TestTheNextSessionRemovesWhatAKilledOneLeft(t *testing.T) {
	parent := t.TempDir()
	alive, err := newScratch(parent)
	require.NoError(t, err)
	dead, err := newScratch(parent)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dead.path, "segment"), []byte("x"), 0o600))
	require.NoError(t, dead.lock.Close()) // as the kernel does for a process that ends
	stranger := filepath.Join(parent, "duelog-bench-notes")
	require.NoError(t, os.Mkdir(stranger, 0o700))

	next, err := newScratch(parent)
	require.NoError(t, err)
	require.NoDirExists(t, dead.path)
	for _, stays := range []string{alive.path, next.path, stranger} {
		require.DirExists(t, stays)
	}
	for _, s := range []*scratch{alive, next} {
		require.NoError(t, s.remove())
		require.NoDirExists(t, s.path)
	}
}

// hangUpEnv makes this test binary a duelog-bench that writes results to the file it names.
const hangUpEnv = "DUELOG_BENCH_TEST_JSON"

// A terminal that is closed ends a run as Ctrl-C does.
func TestAClosedTerminalEndsARunInOrder(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("whoever started the tests has it ignored, for what they start too")
	}
	dir, path := t.TempDir(), filepath.Join(t.TempDir(), "r.json")
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), hangUpEnv+"="+path, "TMPDIR="+dir)
	require.NoError(t, cmd.Start())
	ended := false
	t.Cleanup(func() {
		if !ended {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	require.Eventually(t, func() bool {
		_, err := os.Stat(path)
		return err == nil
	}, time.Minute, 5*time.Millisecond, "the file is there from the start")
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	ended = true
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, ExitFailed, exit.ExitCode(), "it ended by itself")
	f, err := bench.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, f.Results)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}
