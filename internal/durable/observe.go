package durable

import (
	"os"
	"sync/atomic"
)

// Op is an operation that changes what is on disk.
type Op uint8

// The operations that an Observer is told of.
const (
	OpWrite    Op = iota // bytes of a file
	OpTruncate           // its length
	OpAllocate           // blocks behind a range, and the length
	OpPunch              // a range becomes zeroes
	OpSync               // the bytes of a file become durable
	OpSyncDir            // the names in a directory become durable
	OpCreate             // a file is made, or made empty
	OpMkdir
	OpRename
	OpLink
	OpRemove // a file, or an empty directory
)

// Observer stands, in tests, between the engine and the disk: it sees every
// operation of this package before it happens and may let it fail. Thereby a
// test knows what a power loss at this moment would leave.
type Observer interface {
	// Do carries out op by calling run, or fails without. file is set for what is
	// done to an open file, path otherwise; to is the new name of OpRename and
	// OpLink. It may be called concurrently.
	Do(op Op, file *os.File, path, to string, run func() error) error
}

// observer is process-wide, since a disk is; only tests ever set it.
var observer atomic.Pointer[Observer]

// Observe puts o between this package and the disk until stop is called. It is
// for tests, one at a time.
func Observe(o Observer) (stop func()) {
	if !observer.CompareAndSwap(nil, &o) {
		panic("BUG: the disk is observed already")
	}
	return func() { observer.Store(nil) }
}

func onFile(op Op, f *os.File, run func() error) error {
	if o := observer.Load(); o != nil {
		return (*o).Do(op, f, "", "", run)
	}
	return run()
}

func onPath(op Op, path, to string, run func() error) error {
	if o := observer.Load(); o != nil {
		return (*o).Do(op, nil, path, to, run)
	}
	return run()
}
