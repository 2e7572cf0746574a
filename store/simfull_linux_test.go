package store

import (
	"errors"
	"os"
	"syscall"
	"time"

	"github.com/duelog/duelog/internal/durable"
)

// simSpace is how much space a simulated disk has. A file takes space where it becomes
// longer or is made; what has its space can be written. On some file systems any
// write or sync may find none: strict is such a one.
type simSpace struct {
	left   int // operations that find space until none does
	strict bool
}

// fill lets n more operations find space, and none after that.
func (d *simDisk) fill(n int, strict bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.space = simSpace{left: n, strict: strict}
}

// free ends the want of space.
func (d *simDisk) free() { d.fill(forever, false) }

var errNoSpace error = &os.PathError{Op: "write", Path: "simulated disk", Err: syscall.ENOSPC}

// takeSpace carries out an operation if there is space for it. A write that finds
// none may have done a part.
func (d *simDisk) takeSpace(op durable.Op, file *os.File, path, to string, run func() error) error {
	grows := false
	switch op {
	case durable.OpCreate, durable.OpMkdir:
		grows = d.names[path] == nil
	case durable.OpLink:
		grows = d.names[to] == nil
	case durable.OpSync, durable.OpSyncDir, durable.OpPunch:
		grows = d.space.strict
	case durable.OpWrite, durable.OpAllocate:
		return d.takeBlocks(op, file, run)
	}
	if grows && !d.oneMore() {
		return errNoSpace
	}
	return run()
}

func (d *simDisk) oneMore() bool {
	if d.space.left > 0 {
		d.space.left--
		return true
	}
	return false
}

// takeBlocks is takeSpace for what writes into a file.
func (d *simDisk) takeBlocks(op durable.Op, file *os.File, run func() error) error {
	if d.space.left >= forever/2 {
		return run()
	}
	if d.space.strict && !d.oneMore() {
		return errNoSpace
	}
	before, err := file.Stat()
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	after, err := file.Stat()
	if err != nil || after.Size() <= before.Size() || d.space.strict || d.oneMore() {
		return err
	}
	kept := before.Size()
	if op == durable.OpWrite {
		kept += d.rnd.Int64N(after.Size() - before.Size())
	}
	return errors.Join(errNoSpace, file.Truncate(kept))
}

// excusedByFullDisk accepts the want of space where there may be none.
func (m *sim) excusedByFullDisk(err error) bool {
	return m.full && (errors.Is(err, ErrDiskFull) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrReadOnly))
}

// whileFull does an operation on a disk that has no space after some operations, for a
// while. After that the store must go on as if nothing had been: by itself, or
// after a restart if it says that it needs one.
func (m *sim) whileFull(op simOp, choose func(n int, what string) int) {
	m.full = true
	m.disk.fill(op.space-1, op.strict)
	m.perform(op, choose)
	m.verify() // what is visible is seen before it goes
	m.advance(op.dearth)
	m.disk.free()
	if m.s == nil { // it could not be opened
		m.tryOpen()
	}
	if !op.strict && m.s != nil && m.s.Err() != nil {
		m.t.Fatalf("step %d: a full disk has stopped the store: %v", m.step, m.s.Err())
	}
	m.advance(2*m.opts.keeperTick + 2*time.Second)
	if m.s == nil || m.s.Err() != nil {
		m.firedUnseen()
		m.crash(false, 0)
	}
	m.full, m.roughMs = false, m.now()
	m.put(queueKey{"a", 0}, 1, []int64{0}, 8) // is not refused
}

// firedUnseen puts in doubt what was due and is past its retention by now, since the
// store stopped long ago: its firing may stand in the journal and nowhere else.
func (m *sim) firedUnseen() {
	for _, g := range m.msgs {
		g.doubt = g.doubt || !g.seen && g.fireMs > 0 && g.aliveMs(&m.opts) <= m.now()
	}
}
