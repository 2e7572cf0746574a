package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/duelog/duelog/internal/testutil"
)

func TestLaneThatTurnedReadOnlyIsAnErrorOfTheStore(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{keeperTick: 10 * time.Millisecond, CheckpointEvery: 20 * time.Millisecond}))
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, 0, "x")
	// Close the descriptor under the lane's segment: the next write fails like a bad disk.
	closeFD(t, filepath.Join(s.dir, logDir, "0", "00000000000000000000"))
	_, err := s.Put(context.Background(), &Message{Queue: q, Payload: []byte("y")})
	require.ErrorIs(t, err, ErrReadOnly)
	require.ErrorIs(t, s.Err(), ErrReadOnly)
	require.True(t, s.Stats().Failed)
	require.EqualValues(t, 1, q.Max(), "nobody may pass the slot of a message that may be on disk")
	require.ErrorIs(t, s.PutAsync(&Message{Queue: q}, nil, 0), ErrReadOnly)
}

// closeFD puts a read-only descriptor in the place of the open one of path.
func closeFD(t *testing.T, path string) {
	names, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	ro, err := os.Open(path)
	require.NoError(t, err)
	defer ro.Close()
	n := 0
	for _, e := range names {
		l, _ := os.Readlink("/proc/self/fd/" + e.Name())
		if l == path {
			var fd int
			_, err := fmt.Sscan(e.Name(), &fd)
			require.NoError(t, err)
			if fd == int(ro.Fd()) {
				continue
			}
			require.NoError(t, unix.Dup3(int(ro.Fd()), fd, 0))
			n++
		}
	}
	require.NotZero(t, n)
}
