package consume_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/bench/peers/consume"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("connection broken")

func pipe(context.Context) (net.Conn, error) {
	client, _ := net.Pipe()
	return client, nil
}

func TestStopWaitsForTheWorkers(t *testing.T) {
	var g consume.Group
	returned := make(chan struct{}, 2)
	stop, err := consume.Run(t.Context(), &g, 2, pipe, func(ctx context.Context, _ int, _ net.Conn) error {
		<-ctx.Done()
		returned <- struct{}{}
		return ctx.Err()
	})
	require.NoError(t, err)
	stop()
	stop()
	require.Len(t, returned, 2)
	require.NoError(t, g.Err())
}

func TestAWorkerThatEndsByItselfIsRemembered(t *testing.T) {
	var g consume.Group
	stop, err := consume.Run(t.Context(), &g, 1, pipe, func(context.Context, int, net.Conn) error { return errBroken })
	require.NoError(t, err)
	require.Eventually(t, func() bool { return g.Err() != nil }, 5*time.Second, time.Millisecond)
	stop()
	require.ErrorIs(t, g.Err(), errBroken)
}

func TestAWorkerWhoseServerIsKilledIsForgiven(t *testing.T) {
	var g consume.Group
	kill := make(chan struct{})
	ended := make(chan struct{})
	stop, err := consume.Run(t.Context(), &g, 1, pipe, func(context.Context, int, net.Conn) error {
		defer close(ended)
		<-kill
		return errBroken
	})
	require.NoError(t, err)
	g.Forgive()
	close(kill)
	<-ended
	stop()
	require.NoError(t, g.Err())
}

func TestADialThatFailsStartsNothing(t *testing.T) {
	var g consume.Group
	_, err := consume.Run(t.Context(), &g, 1, func(context.Context) (net.Conn, error) { return nil, errBroken }, nil)
	require.ErrorIs(t, err, errBroken)
	require.NoError(t, g.Err())
}
