package commitlog

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/duelog/duelog/commitlog/segment"
)

// Log is one lane. All methods may be called concurrently; the package comment
// says what they promise.
//
// Lock order: wmu, then flushMu, then smu; the intake's and the reserve's locks
// are leaves. Hooks run under wmu, Completers under nothing.
type Log struct {
	o      Options
	logger *slog.Logger
	chain  *segment.Chain
	next   *reserve
	cold   coldReader
	warm   warmth

	in     intake
	closed atomic.Bool

	wmu     sync.Mutex    // held while one frame is committed
	active  *segment.File // being written; nil before the first append and after a seal
	pos     int64         // where the next frame goes; a segment base if active is nil
	clock   int64         // store time of the newest frame, or the least for the next
	scratch []byte        // frame buffer of AppendFrame

	smu      sync.Mutex
	infos    []SegmentInfo // ascending; the last is active's, if there is one
	unsynced syncPoint

	given atomic.Pointer[map[int64][]Range] // by base: see GiveBack; never modified, only replaced under smu

	tail    atomic.Int64 // pos as readers may see it
	hotFrom int64        // offsets below were written before Open; constant

	flushMu sync.Mutex    // one background sync at a time
	kick    chan struct{} // tells the flusher that there is much to do

	stop      chan struct{}
	running   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

func newLog(dir string, o *Options) (*Log, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	if err := opts.validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	logger := opts.Logger.With("lane", opts.Lane)
	chain, err := segment.NewChain(dir, segment.Options{
		Size: opts.SegmentSize, Writer: opts.Writer, Pool: opts.Pool, IO: opts.IO, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	l := &Log{
		o:      opts,
		logger: logger,
		chain:  chain,
		next:   newReserve(chain.Create),
		kick:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
	}
	l.cold.init()
	l.in.init(opts.MaxBatchBytes, opts.MaxPendingBytes, opts.MaxWait)
	return l, nil
}

// start runs the goroutines. They end in Close.
func (l *Log) start() {
	l.running.Go(l.writeLoop)
	if l.o.Flush == Async {
		l.running.Go(l.flushLoop)
	}
}

// Tail is the lane offset at which the next frame will start: everything committed
// lies before it. With Sync, that is also durable.
func (l *Log) Tail() int64 { return l.tail.Load() }

// Prepared is how many bytes are allocated for the segment that comes next, which
// Segments does not list.
func (l *Log) Prepared() int64 {
	if l.next.ready() {
		return l.o.SegmentSize
	}
	return 0
}

// Segments lists all segments, the one being written last. That one's fields count
// every committed frame, so they can be put into a checkpoint.
func (l *Log) Segments() []SegmentInfo {
	l.smu.Lock()
	defer l.smu.Unlock()
	return slices.Clone(l.infos)
}

// Remove gives a segment up. The owner must have unregistered it durably. Views of
// it stay valid; its file is recycled, or unlinked, when the last one is released.
// ErrInUse if it is being written, ErrNotFound if there is none; ErrClosed after Close:
// then Segments forgets it too, and its file stays.
func (l *Log) Remove(base int64) error {
	if err := l.forget(base); err != nil {
		return fmt.Errorf("remove segment %d: %w", base, err)
	}
	_, err := l.chain.Remove(base)
	return err
}

func (l *Log) forget(base int64) error {
	l.smu.Lock()
	defer l.smu.Unlock()
	i, ok := l.find(base)
	closed := l.closed.Load()
	switch {
	case ok && l.infos[i].Sealed:
		l.infos = slices.Delete(l.infos, i, i+1)
	case closed:
	case ok:
		return ErrInUse
	default:
		return ErrNotFound
	}
	if closed {
		return ErrClosed
	}
	return nil
}

// KeepFor makes the segment that holds off count as fired no earlier than fireMs:
// what fires late lives that much longer.
func (l *Log) KeepFor(off, fireMs int64) {
	l.smu.Lock()
	defer l.smu.Unlock()
	if i, ok := l.find(off - off%l.o.SegmentSize); ok {
		l.infos[i].MaxFireMs = max(l.infos[i].MaxFireMs, fireMs)
	}
}

// LimitFire makes a segment count as fired no later than fireMs, whatever it holds:
// what fires later has another place now. The owner has registered that.
func (l *Log) LimitFire(base, fireMs int64) {
	l.smu.Lock()
	defer l.smu.Unlock()
	if i, ok := l.find(base); ok {
		l.infos[i].MaxFireMs = min(l.infos[i].MaxFireMs, fireMs)
	}
}

// find is called with smu held.
func (l *Log) find(base int64) (int, bool) {
	return slices.BinarySearchFunc(l.infos, base, func(s SegmentInfo, b int64) int {
		return int(min(max(s.Base-b, -1), 1))
	})
}

// Err is why the log is read-only, nil while it is not.
func (l *Log) Err() error { return l.in.failure() }

// DiskFull tells whether the next segment could not be allocated. Appends still
// succeed while the present segment has room. Asking retries the allocation, at
// most once a second, so the answer turns without an append.
func (l *Log) DiskFull() bool {
	if l.closed.Load() {
		return false
	}
	l.next.retry()
	return errors.Is(l.next.failed(), ErrDiskFull)
}

// fail makes the log read-only for good and returns the error to hand out.
func (l *Log) fail(cause error) error {
	err := fmt.Errorf("%w: %w", ErrReadOnly, cause)
	if l.in.refuseForever(err) {
		l.logger.Error("commit log turned read-only, restart to check the disk and go on", "error", cause)
	}
	return err
}

// Close commits what was accepted, makes it durable, and releases the files; views
// stay valid until released. It returns the error that made the log read-only, if
// one did. Idempotent.
func (l *Log) Close() error {
	l.closeOnce.Do(func() { l.closeErr = l.shut() })
	return l.closeErr
}

func (l *Log) shut() error {
	l.in.close()
	close(l.stop)
	l.running.Wait()
	l.wmu.Lock()
	defer l.wmu.Unlock()
	err := l.in.failure()
	if err == nil {
		err = l.flush()
	}
	l.closed.Store(true)
	l.active = nil
	l.next.close()
	l.chain.Close()
	return err
}
