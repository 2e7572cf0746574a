package pipeline_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench/peers/pipeline"
)

func TestInflightReportsEachMessageOnce(t *testing.T) {
	a := new(acks)
	f := pipeline.NewInflight(10, a.acked)
	for id := range uint64(3) {
		require.NoError(t, f.Add(id))
	}
	f.Done(1, nil)
	f.Done(1, errRefused)
	f.Done(7, nil)
	f.Fail(pipeline.ErrClosed)
	f.Fail(errors.New("later"))
	require.Equal(t, 3, a.n)
	require.NoError(t, a.got[1])
	require.ErrorIs(t, a.got[0], pipeline.ErrClosed)
	require.ErrorIs(t, a.got[2], pipeline.ErrClosed)
	require.ErrorIs(t, f.Add(4), pipeline.ErrClosed)
	require.ErrorIs(t, f.Err(), pipeline.ErrClosed)
	require.Equal(t, 3, a.n)
}

func TestInflightLetsNoMoreInThanItsLimit(t *testing.T) {
	f := pipeline.NewInflight(1, new(acks).acked)
	require.NoError(t, f.Add(1))
	added := make(chan error, 1)
	go func() { added <- f.Add(2) }()
	require.Never(t, func() bool { return len(added) > 0 }, 20*time.Millisecond, time.Millisecond)
	f.Done(1, nil)
	require.NoError(t, <-added)
}
