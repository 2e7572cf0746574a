package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/testutil"
)

// brokenFiles fails what is done to the files whose path contains a string.
type brokenFiles struct {
	in    atomic.Pointer[string]
	cause error
}

func (d *brokenFiles) Do(_ durable.Op, f *os.File, path, _ string, run func() error) error {
	if f != nil {
		path = f.Name()
	}
	if in := d.in.Load(); in != nil && strings.Contains(path, *in) {
		return d.cause
	}
	return run()
}

// A lane may break when no message is written to it: when a segment is sealed for
// its age. The store then is as broken as after a message that could not be written;
// also if it was want of space, which no more space mends any more.
func TestSegmentThatCannotBeSealedIsAnErrorOfTheStore(t *testing.T) {
	for _, cause := range []error{errors.New("broken disk"), syscall.ENOSPC} {
		synctest.Test(t, func(t *testing.T) {
			disk := &brokenFiles{cause: cause}
			defer durable.Observe(disk)()
			s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour}))
			q := mustQueue(t, s, "a", 0)
			mustPut(t, s, q, s.NowMs()+(20*time.Hour).Milliseconds(), "x")
			lane := filepath.Join(logDir, "1") + string(filepath.Separator)
			disk.in.Store(&lane)
			time.Sleep(laneClasses[1].rollAfter + 3*time.Hour)
			synctest.Wait()
			require.ErrorIs(t, s.Err(), ErrReadOnly)
			require.ErrorIs(t, s.Err(), cause)
			_, err := s.Put(context.Background(), &Message{Queue: q, Payload: []byte("y")})
			require.NotErrorIs(t, err, ErrDiskFull)
			require.ErrorIs(t, s.Close(), ErrReadOnly)
		})
	}
}
