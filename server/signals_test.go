package server

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheFirstSignalStopsAndTheSecondExits(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	defer cancel()
	signals := make(chan os.Signal)
	exited := make(chan int, 1)
	var out bytes.Buffer
	ctx := stopOn(parent, signals, slog.New(slog.NewTextHandler(&out, nil)), func(code int) { exited <- code })
	require.NoError(t, ctx.Err())
	signals <- syscall.SIGTERM
	<-ctx.Done()
	signals <- syscall.SIGINT
	require.Equal(t, 130, <-exited)
	require.Contains(t, out.String(), "a second signal exits at once")
}

func TestWithoutASignalTheContextEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	ctx := stopOn(parent, make(chan os.Signal), slog.New(slog.DiscardHandler), func(int) { t.Error("must not exit") })
	cancel()
	<-ctx.Done()
}

func TestTheProcessItselfHearsSIGTERM(t *testing.T) {
	ctx, release := stopOnSignal(t.Context(), slog.New(slog.DiscardHandler), func(int) { t.Error("must not exit") })
	defer release()
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	<-ctx.Done()
}
