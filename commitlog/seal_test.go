package commitlog

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What Open visits is durable when it returns, also in a last segment that was
// sealed by a process that was killed before it could sync it: nobody else will.
func TestOpenSyncsASealThatWasNotSynced(t *testing.T) {
	disk := &shadowDisk{files: make(map[uint64]*shadow), fuse: 1 << 30}
	ln := newLane(t, Options{Flush: Async, FlushEvery: time.Hour, RollAfter: time.Second, IO: disk})
	l, _ := ln.open()
	put(t, l, "a")
	disk.mu.Lock()
	disk.fuse = 1 // the seal frame is written, its sync fails
	disk.mu.Unlock()
	require.ErrorIs(t, l.RollIfOld(1<<40), ErrReadOnly)
	require.ErrorIs(t, l.Close(), ErrReadOnly)

	disk.fuse = 1 << 30
	l, s := ln.open()
	require.Equal(t, []string{"a"}, s.payloads)
	require.True(t, l.Segments()[0].Sealed)
	for _, file := range disk.files {
		require.Empty(t, file.dirty, "a power loss would take it")
	}
}
