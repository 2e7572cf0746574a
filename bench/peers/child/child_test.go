package child_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/bench/peers/child"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shell starts a script.
func shell(t *testing.T, script string) *child.Process {
	p, err := child.Start(child.Options{
		Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "log"),
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Kill()) })
	return p
}

func TestKillTakesDescendantsInSessionsOfTheirOwn(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "pid")
	p := shell(t, "setsid sh -c 'echo $$ >"+path+".new; mv "+path+".new "+path+"; exec sleep 1000' & wait")
	var pid int
	require.NoError(t, p.Await(t.Context(), func(context.Context) error {
		b, err := os.ReadFile(path)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		return err
	}))
	require.NoError(t, p.Kill())
	require.NoError(t, p.Kill())
	state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	require.True(t, err != nil || strings.Contains(string(state), ") Z "), "%s", state)
}

func TestAwaitQuotesAChildThatEnds(t *testing.T) {
	p := shell(t, "echo port in use >&2; exit 1")
	err := p.Await(t.Context(), func(context.Context) error { return errors.New("not yet") })
	require.EqualError(t, err, "sh ended while starting: port in use")
}

func TestAwaitGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := shell(t, "exec sleep 1000").Await(ctx, func(context.Context) error { return errors.New("not yet") })
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "not yet")
}

func TestStopLetsAChildEndByItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "up")
	p := shell(t, "trap 'rm "+path+"; exit 0' TERM; echo >"+path+"; while :; do sleep 0.01; done")
	require.NoError(t, p.Await(t.Context(), func(context.Context) error {
		_, err := os.Stat(path)
		return err
	}))
	require.NoError(t, p.Stop(syscall.SIGTERM, time.Minute))
	require.NoFileExists(t, path)
	require.NoError(t, p.Stop(syscall.SIGTERM, time.Minute))
}

func TestAProgramThatDoesNotExistIsNamed(t *testing.T) {
	_, err := child.Start(child.Options{Path: "/no/such/server", Log: filepath.Join(t.TempDir(), "log")})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "start server")
}

func TestUnprivilegedIsNotRoot(t *testing.T) {
	u, err := child.Unprivileged("nobody")
	require.NoError(t, err)
	cmd := exec.Command("id", "-u")
	u.Apply(cmd)
	out, err := cmd.Output()
	require.NoError(t, err)
	require.NotEqual(t, "0", strings.TrimSpace(string(out)))
	require.NoError(t, u.Own(t.TempDir()))
}

func TestFreePortLeavesRoomBelow(t *testing.T) {
	port, err := child.FreePort(2)
	require.NoError(t, err)
	require.Greater(t, port, 1024)
	_, err = child.Dial(t.Context(), port)
	require.Error(t, err)
}
