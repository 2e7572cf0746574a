package tools

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// onTerminal runs a verb whose output goes to a terminal, and returns what it shows.
func onTerminal(t *testing.T, environ []string, args ...string) (code int, shown string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminals here:", err)
	}
	defer master.Close()
	require.NoError(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	require.NoError(t, err)
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: 200}))
	read := make(chan string)
	go func() {
		var all bytes.Buffer
		_, _ = all.ReadFrom(master) // ends with EIO when nobody has the terminal open
		read <- all.String()
	}()
	code = Execute(context.Background(), args, Process{Out: tty, Err: tty, Environ: environ, Now: func() time.Time { return testNow }})
	require.NoError(t, tty.Close())
	return code, <-read
}

func TestColourIsOnTerminalsOnlyAndNeverWithNoColor(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	flip(t, filepath.Join(dir, segmentPath(1, 0)), 100)
	const escape = "\x1b["
	for _, x := range []struct {
		environ []string
		args    []string
		colour  bool
	}{
		{nil, nil, true},
		{[]string{"TERM=xterm"}, nil, true},
		{[]string{"NO_COLOR=1"}, nil, false},
		{[]string{"TERM=dumb"}, nil, false},
		{nil, []string{"-o", "json"}, false},
		{nil, []string{"-o", "csv"}, false},
	} {
		code, shown := onTerminal(t, x.environ, append([]string{"verify", dir, "--quiet"}, x.args...)...)
		require.Equal(t, ExitFindings, code, shown)
		require.Contains(t, shown, "lost")
		require.Equal(t, x.colour, bytes.Contains([]byte(shown), []byte(escape+"31m")), "%v %v: %q", x.environ, x.args, shown)
	}
	_, out, _ := run(t, "verify", dir)
	require.NotContains(t, out, escape)
}

// The bar is there while verify reads, and gone in the end.
func TestProgressIsForTerminals(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	code, shown := onTerminal(t, nil, "verify", dir)
	require.Equal(t, ExitOK, code, shown)
	require.Contains(t, shown, "nothing is wrong")
	_, shown = onTerminal(t, nil, "verify", dir, "--quiet")
	require.Empty(t, shown)
}
