package server

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// stopOnSignal returns a context that ends with the first SIGTERM or SIGINT,
// which starts the graceful stop. The second one calls exit at once with
// ExitSignal plus its number, for an operator who will not wait; the store
// recovers from that as from a crash. release gives the signals back.
func stopOnSignal(parent context.Context, log *slog.Logger, exit func(code int)) (ctx context.Context, release func()) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	parent, cancel := context.WithCancel(parent)
	ctx = stopOn(parent, signals, log, exit)
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

func stopOn(parent context.Context, signals <-chan os.Signal, log *slog.Logger, exit func(code int)) context.Context {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		defer cancel()
		select {
		case s := <-signals:
			log.Info("stopping; a second signal exits at once", "signal", s.String())
			cancel()
		case <-parent.Done():
			return
		}
		select {
		case s := <-signals:
			log.Warn("exiting without a checkpoint; the next start recovers", "signal", s.String())
			exit(exitCodeOfSignal(s))
		case <-parent.Done():
		}
	}()
	return ctx
}

func exitCodeOfSignal(s os.Signal) int {
	n, ok := s.(syscall.Signal)
	if !ok {
		return ExitFailed
	}
	return ExitSignal + int(n)
}
