package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func putUntilFull(t *testing.T, s *Store, q *Queue) {
	t.Helper()
	for range 100_000 {
		_, err := s.Put(context.Background(), &Message{Queue: q, Payload: make([]byte, 8<<10)})
		if err != nil {
			require.ErrorIs(t, err, ErrDiskFull)
			return
		}
	}
	t.Fatal("the disk never filled")
}

func TestOnAFullDiskSendsAreRefusedAndDueMessagesStillFire(t *testing.T) {
	t.Parallel()
	mount := testutil.Tmpfs(t, 8<<20)
	filler := filepath.Join(mount, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, 2<<20), 0o644))
	dir := filepath.Join(mount, "store")
	o := small(Options{CheckpointEvery: 50 * time.Millisecond, keeperTick: 10 * time.Millisecond, DiskRefuse: 1})
	s := mustOpen(t, dir, o)
	q, due := mustQueue(t, s, "orders", 0), mustQueue(t, s, "due", 0)
	const n = 200
	for i := range int64(n) {
		mustPut(t, s, due, s.NowMs()+1500+i, "x")
	}
	putUntilFull(t, s, q)
	awaitMax(t, due, n)
	require.NoError(t, s.Err())

	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool {
		_, err := s.Put(context.Background(), &Message{Queue: q, FireMs: s.NowMs() + 10, Payload: []byte("again")})
		require.True(t, err == nil || errors.Is(err, ErrDiskFull), "%v", err)
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	slots := q.Max()
	require.NoError(t, s.Close())

	s = mustOpen(t, dir, o)
	require.Len(t, payloads(t, s, s.LookupQueue("due", 0)), n)
	require.GreaterOrEqual(t, s.LookupQueue("orders", 0).Max(), slots)
}

func TestStoreOpensOnAFullDiskAndFiresWhatIsDue(t *testing.T) {
	mount := testutil.Tmpfs(t, 8<<20)
	dir := filepath.Join(mount, "store")
	o := small(Options{})
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "due", 0)
	mustPut(t, s, q, s.NowMs()+300, "x")
	require.NoError(t, s.Close())
	f, err := os.Create(filepath.Join(mount, "filler"))
	require.NoError(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	require.NoError(t, f.Close())

	s = mustOpen(t, dir, o)
	q = s.LookupQueue("due", 0)
	awaitMax(t, q, 1)
	require.Equal(t, []string{"x"}, payloads(t, s, q))
}
