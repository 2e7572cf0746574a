package commitlog

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog/segment"
)

func TestLogIsReadOnlyAfterAFailedWriteUntilReopened(t *testing.T) {
	d := &faultyDisk{partial: 20}
	ln := newLane(t, Options{IO: d})
	l, _ := ln.open()
	kept := put(t, l, "kept")[0]

	d.set(func(d *faultyDisk) { d.write = errBroken })
	_, err := putOne(l, Record{Payload: []byte("lost")})
	require.ErrorIs(t, err, ErrReadOnly)
	require.ErrorIs(t, err, errBroken)
	require.ErrorIs(t, ln.own.lastFail, ErrReadOnly)
	require.Zero(t, ln.own.lastEnd)

	d.set(func(d *faultyDisk) { d.write = nil })
	require.ErrorIs(t, l.Append(&Record{}, nil, 0), ErrReadOnly)
	_, err = l.AppendFrame(nil, 0, 0)
	require.ErrorIs(t, err, ErrReadOnly)
	require.ErrorIs(t, l.Sync(), ErrReadOnly)
	require.ErrorIs(t, l.RollIfOld(1<<40), ErrReadOnly)
	require.Equal(t, "kept", content(t, l, kept, 4), "reads go on")
	require.ErrorIs(t, l.Close(), ErrReadOnly)

	l, s := ln.open()
	require.Equal(t, []string{"kept"}, s.payloads)
	put(t, l, "new")
}

func TestLogIsReadOnlyAfterAFailedSync(t *testing.T) {
	everyMode(t, func(t *testing.T, o Options) {
		d := new(faultyDisk)
		o.IO, o.FlushEvery = d, time.Hour
		ln := newLane(t, o)
		l, _ := ln.open()
		put(t, l, "kept")
		tail := l.Tail()
		d.set(func(d *faultyDisk) { d.sync = errBroken })
		_, err := putOne(l, Record{Payload: []byte("in doubt")})
		if o.Flush == Sync {
			require.ErrorIs(t, err, ErrReadOnly)
			require.Equal(t, tail, l.Tail())
		} else {
			require.NoError(t, err)
			require.ErrorIs(t, l.Sync(), ErrReadOnly)
		}
		require.ErrorIs(t, l.Append(&Record{}, nil, 0), ErrReadOnly)
		require.ErrorIs(t, l.Close(), ErrReadOnly)
		d.set(func(d *faultyDisk) { d.sync = nil })
		_, s := ln.open()
		require.Equal(t, []string{"kept", "in doubt"}, s.payloads)
	})
}

func TestBatchesQueuedBehindAFailureAreRefusedWithoutAssign(t *testing.T) {
	d := new(faultyDisk)
	g := &gate{held: make(chan struct{})}
	ln := newLane(t, Options{SegmentSize: 1 << 20, MaxBatchBytes: 100, IO: gatedFaults{g, d}})
	l, _ := ln.open()
	var cs []*catcher
	for range 3 {
		c := &catcher{done: make(chan struct{})}
		require.NoError(t, l.Append(&Record{Payload: make([]byte, 90)}, c, 0))
		cs = append(cs, c)
	}
	d.set(func(d *faultyDisk) { d.write = errBroken })
	close(g.held)
	for _, c := range cs {
		<-c.done
		require.ErrorIs(t, c.err, ErrReadOnly)
	}
	require.Equal(t, []string{"added", "assign", "committed"}, ln.own.calls)
}

// gatedFaults waits at the gate before it fails.
type gatedFaults struct {
	g *gate
	*faultyDisk
}

func (d gatedFaults) WriteAt(f *os.File, p []byte, off int64) error {
	<-d.g.held
	return d.faultyDisk.WriteAt(f, p, off)
}

func TestOwnerThatCannotRegisterASegmentStopsTheLog(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	put(t, l, "a")
	ln.own.addErr = errBroken
	_, err := putOne(l, Record{Payload: make([]byte, 4000)})
	require.ErrorIs(t, err, ErrReadOnly)
	require.ErrorIs(t, err, errBroken)

	other := newLane(t, Options{})
	l, _ = other.open()
	put(t, l, "a")
	other.own.sealErr = errBroken
	_, err = putOne(l, Record{Payload: make([]byte, 4000)})
	require.ErrorIs(t, err, ErrReadOnly)
}

func TestFullDiskRefusesAndRecoversWithoutReopening(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(faultyDisk)
		ln := newLane(t, Options{IO: d})
		l, _ := ln.open()
		put(t, l, "a")
		require.False(t, l.DiskFull())
		d.set(func(d *faultyDisk) { d.preallocate = syscall.ENOSPC })
		put(t, l, strings.Repeat("b", 2100)) // past the half, the next one is wanted
		synctest.Wait()
		require.True(t, l.DiskFull())
		put(t, l, "still fits")

		big := Record{Payload: make([]byte, 3000)}
		_, err := putOne(l, big)
		require.ErrorIs(t, err, ErrDiskFull)
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.ErrorIs(t, l.Append(&Record{}, nil, 0), ErrDiskFull, "refused cheaply for a while")

		d.set(func(d *faultyDisk) { d.preallocate = nil })
		_, err = putOne(l, big)
		require.ErrorIs(t, err, ErrDiskFull, "not retried yet")
		time.Sleep(retryEvery)
		_, err = putOne(l, big)
		require.NoError(t, err)
		require.False(t, l.DiskFull())
		require.NoError(t, l.Close())
	})
}

func TestAskingForDiskFullRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &faultyDisk{preallocate: syscall.ENOSPC}
		ln := newLane(t, Options{IO: d, Reserve: true})
		l, _ := ln.open()
		require.True(t, l.DiskFull())
		d.set(func(d *faultyDisk) { d.preallocate = nil })
		require.True(t, l.DiskFull())
		time.Sleep(retryEvery)
		l.DiskFull()
		synctest.Wait()
		require.False(t, l.DiskFull())
		require.NoError(t, l.Close())
	})
}

func TestRealFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("needs root to mount a tmpfs")
	}
	dir := t.TempDir()
	if err := mountTmpfs(dir, "256k"); err != nil {
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unmount(dir)) })
	for _, w := range []segment.Writer{segment.Pwrite, segment.Mmap} {
		ln := newLane(t, Options{SegmentSize: 64 << 10, Writer: w})
		ln.dir = dir + "/" + w.String()
		l, _ := ln.open()
		var refused error
		n := 0
		for ; n < 1000; n++ {
			if _, err := putOne(l, Record{Payload: make([]byte, 10_000)}); err != nil {
				refused = err
				break
			}
		}
		require.ErrorIs(t, refused, ErrDiskFull)
		require.Positive(t, n, "%v", refused)
		require.Less(t, n, 1000)
		require.NoError(t, l.Close())
		l, s := ln.open()
		require.Len(t, s.payloads, n)
		require.NoError(t, l.Close())
		require.NoError(t, os.RemoveAll(ln.dir))
	}
}
