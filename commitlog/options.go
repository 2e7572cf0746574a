package commitlog

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/duelog/duelog/commitlog/segment"
)

// FlushPolicy says what an acknowledgement means.
type FlushPolicy uint8

const (
	// Sync acknowledges after fdatasync: the record survives power loss. Zero value.
	Sync FlushPolicy = iota
	// Async acknowledges after the write: the record survives the end of the
	// process. A power loss takes what was written since the last background flush,
	// which runs every Options.FlushEvery and after every 4 MiB.
	Async
)

// String is the option's spelling.
func (p FlushPolicy) String() string {
	switch p {
	case Sync:
		return "sync"
	case Async:
		return "async"
	}
	return fmt.Sprintf("flush(%d)", uint8(p))
}

// Completer learns the fate of one appended record. Complete runs on the log's
// writer goroutine and must not block. it is valid during the call.
//
// A nil err means committed under the flush policy. Otherwise the record was not
// acknowledged; after ErrReadOnly it may still appear when the log is reopened. it.Loc
// is then 0, or where the record would have been.
type Completer interface {
	Complete(cookie uint64, it *Item, storeMs int64, err error)
}

// Hooks connect a log with its owner. All are called by one goroutine at a time
// and in the order of the lane. They may read the log (View, Tail, Segments) but
// not append to it, roll, remove, or sync it.
type Hooks interface {
	// Assign runs once for each batch, before it is checksummed and written. It may
	// set When of unscheduled items; the log puts that into the record headers.
	Assign(items []Item, storeMs int64)
	// Committed follows every Assign: after the batch is written and, with Sync,
	// durable, and before the Completers. end is the lane offset after the frame.
	// With an error the items were not stored and end is 0.
	Committed(items []Item, storeMs int64, end int64, err error)
	// SegmentAdded registers a new segment durably before its first byte is used.
	// ErrDiskFull refuses the batch and is tried again with a later one; any other
	// error makes the log read-only.
	SegmentAdded(lane uint8, base int64) error
	// SegmentSealed follows when the segment's last frame is durable. An error makes
	// the log read-only.
	SegmentSealed(lane uint8, info SegmentInfo) error
}

// noHooks serves a log whose owner wants none.
type noHooks struct{}

func (noHooks) Assign([]Item, int64)                   {}
func (noHooks) Committed([]Item, int64, int64, error)  {}
func (noHooks) SegmentAdded(uint8, int64) error        { return nil }
func (noHooks) SegmentSealed(uint8, SegmentInfo) error { return nil }

// SegmentInfo is what the owner keeps about a segment in its own metadata and
// hands back to Open. Apart from Base every field may be zero: then the segment is
// scanned from its start. Offsets are lane offsets, times are ms.
type SegmentInfo struct {
	Base int64
	// End is the offset up to which the other fields count the frames; of a sealed
	// segment, the offset after its last frame.
	End    int64
	Sealed bool
	// Records counts those in the segment.
	Records int64
	// MaxStoreMs is the newest store time of an unscheduled record (or raw frame),
	// MaxFireMs the latest fire time of a scheduled one; 0 = it has none.
	MaxStoreMs int64
	MaxFireMs  int64
	// CreatedMs is when the first frame was written.
	CreatedMs int64
	// LastStoreMs is the store time of the last frame before End. The log continues
	// beyond it after a restart even when no frame needs to be scanned again.
	LastStoreMs int64
}

// Options of a log. The zero value is lane 0 with the stated defaults.
type Options struct {
	// Lane is the number in every Loc and frame of this log.
	Lane uint8
	// SegmentSize in bytes, a multiple of 4096; 0 = 1 GiB for lane 0, else 256 MiB.
	// It cannot change while there are segments.
	SegmentSize int64
	// RollAfter seals a segment that old, on the next append or RollIfOld; 0 = never.
	RollAfter time.Duration
	// Flush policy; 0 = Sync.
	Flush FlushPolicy
	// FlushEvery is the longest time between background flushes of Async; 0 = 500 ms.
	FlushEvery time.Duration
	// Writer of segment bytes; 0 = segment.Pwrite.
	Writer segment.Writer
	// Pool of recycled files; nil keeps none.
	Pool *segment.Pool
	// MaxBatchBytes closes a batch for further records; 0 = 1 MiB, which a
	// cache holds. A larger record
	// gets a batch of its own.
	MaxBatchBytes int
	// MaxPendingBytes of accepted but uncommitted records block Append; 0 = 64 MiB.
	MaxPendingBytes int
	// MaxWait is how long Append blocks before it gives ErrBusy, which others then get
	// at once until half of the pending bytes are committed; 0 = no limit.
	MaxWait time.Duration
	// Hooks of the owner; nil = none.
	Hooks Hooks
	// Now is the wall clock in ms; nil = time.Now.
	Now func() int64
	// Logger; nil = slog.Default.
	Logger *slog.Logger
	// Reserve keeps the next segment preallocated from the start, so that a disk
	// that fills up leaves at least that much to append.
	Reserve bool
	// GivenBack are the ranges that the owner has registered for GiveBack.
	GivenBack []Range
	// IO is the way to the disk, for tests; nil = segment.Disk.
	IO segment.IO
}

func (o Options) withDefaults() Options {
	if o.SegmentSize == 0 {
		o.SegmentSize = 256 << 20
		if o.Lane == 0 {
			o.SegmentSize = 1 << 30
		}
	}
	o.FlushEvery = cmp.Or(o.FlushEvery, 500*time.Millisecond)
	o.MaxBatchBytes = min(cmp.Or(o.MaxBatchBytes, 1<<20), o.maxFrame())
	o.MaxPendingBytes = cmp.Or(o.MaxPendingBytes, 64<<20)
	o.Hooks = cmp.Or[Hooks](o.Hooks, noHooks{})
	o.Logger = cmp.Or(o.Logger, slog.Default())
	if o.Now == nil {
		o.Now = func() int64 { return time.Now().UnixMilli() }
	}
	return o
}

func (o *Options) validate() error {
	switch {
	case o.SegmentSize < 0 || o.SegmentSize > offsetMask:
		return fmt.Errorf("segment size %d out of range", o.SegmentSize)
	case o.Flush > Async:
		return fmt.Errorf("unknown flush policy %d", o.Flush)
	case o.Writer > segment.Mmap:
		return fmt.Errorf("unknown segment writer %d", o.Writer)
	case o.MaxBatchBytes < 0 || o.MaxPendingBytes < 0 || o.RollAfter < 0 || o.FlushEvery < 0 || o.MaxWait < 0:
		return fmt.Errorf("negative limit in commit log options")
	}
	return nil
}

// maxFrame is the largest payload of a frame with these options.
func (o *Options) maxFrame() int {
	return int(min(MaxFrameBytes, o.SegmentSize-FrameHeaderSize))
}
