package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/store"
)

// command runs duelogd with args and returns what it printed.
func command(t *testing.T, environ []string, args ...string) (out, errs string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	err = Execute(t.Context(), args, Process{Out: &o, Err: &e, Environ: environ})
	return o.String(), e.String(), err
}

func TestHelpShowsEveryFlagExamplesAndExitCodes(t *testing.T) {
	out, _, err := command(t, nil, "--help")
	require.NoError(t, err)
	NewSettings().Flags().VisitAll(func(f *pflag.Flag) { require.Contains(t, out, "--"+f.Name) })
	for _, want := range []string{"--config", "--print-config", "duelogd version", "Examples:", "Exit codes:", "DUELOG_FLUSH_EVERY", "Addresses:"} {
		require.Contains(t, out, want)
	}
}

func TestEveryFlagHasAnExplanation(t *testing.T) {
	NewSettings().Flags().VisitAll(func(f *pflag.Flag) { require.Greater(t, len(f.Usage), 15, f.Name) })
}

func TestVersionSaysWhatTheBinaryIs(t *testing.T) {
	out, _, err := command(t, nil, "version")
	require.NoError(t, err)
	require.Contains(t, out, "duelogd ")
	require.Contains(t, out, "go1.")
}

func TestPrintConfigTakesTheFileFromTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.yaml")
	require.NoError(t, os.WriteFile(path, []byte("retention: 5d\n"), 0o644))
	out, _, err := command(t, []string{"DUELOG_CONFIG=" + path}, "--print-config")
	require.NoError(t, err)
	require.Contains(t, out, "retention: 5d")
	require.Contains(t, out, path+":1")
}

func TestWrongUseExitsWithItsOwnCode(t *testing.T) {
	for name, args := range map[string][]string{
		"unknown flag":  {"--flsh=sync"},
		"bad value":     {"--flush=never"},
		"bad config":    {"--listen=0.0.0.0:10911"},
		"argument":      {"sync"},
		"missing file":  {"--config=/nonexistent/duelog.yaml"},
		"print invalid": {"--print-config", "--data="},
	} {
		t.Run(name, func(t *testing.T) {
			_, errs, err := command(t, nil, args...)
			require.Equal(t, ExitUsage, ExitCode(err))
			require.Contains(t, errs, "duelogd: ")
		})
	}
}

func TestEachKindOfFailureHasItsExitCode(t *testing.T) {
	require.Equal(t, ExitOK, ExitCode(nil))
	require.Equal(t, ExitFailed, ExitCode(errors.New("any")))
	require.Equal(t, ExitListen, ExitCode(fmt.Errorf("x: %w", &ListenError{})))
	require.Equal(t, ExitLocked, ExitCode(fmt.Errorf("x: %w", &store.LockedError{})))
}

func TestTheCommandServesUntilItsContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, log := newBuffer(), newBuffer()
	done := make(chan error, 1)
	go func() {
		done <- Execute(ctx, []string{
			"--listen=127.0.0.1:0", "--namesrv-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0",
			"--data=" + t.TempDir(), "--segment-size=16MiB", "--log-format=json", "--flush=async",
		}, Process{Out: out, Err: log})
	}()
	log.waitFor(t, `"msg":"ready"`, `"flush":"async"`)
	cancel()
	require.NoError(t, <-done)
	require.Empty(t, out.String(), "with JSON everything is in the log")
	for line := range strings.Lines(log.String()) {
		require.True(t, json.Valid([]byte(line)), line)
	}
}
