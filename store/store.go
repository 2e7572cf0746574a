package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/segment"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/internal/durable"
)

// Store is an open store directory. All methods are safe for concurrent use.
type Store struct {
	dir        string
	opts       Options
	log        *slog.Logger
	clock      clock
	maxDelayMs int64
	metrics    *metrics

	lockFile   *os.File
	catalog    *catalog
	registry   *registry
	queues     *consumequeue.Set
	lanes      [laneCount]*lane
	cold       *coldStore
	compactor  *compactor
	journalLog *commitlog.Log
	cancelLog  *commitlog.Log
	cancels    *cancels
	near       *near
	pool       *segment.Pool // shared: a segment that one lane has finished with serves another

	sizeCutoff atomic.Int64 // lane-0 offset before which ordinary messages are dead by RetentionBytes

	pending atomic.Int64 // scheduled and not yet fired
	overdue atomic.Int64 // of these, in memory and due
	busy    *busy

	// The present backlog: wall clock of its beginning, 0 = none; topics behind others.
	backlogSince atomic.Int64
	heavyTopics  atomic.Int64
	// Since the store was opened: payload accepted, and bytes written by class.
	payloadBytes atomic.Int64
	written      [bytesClassCount]atomic.Int64
	deadlineMs   atomic.Int64 // when the dispatcher looks next; arrivals before it wake it
	disk         diskWatch
	diskFull     atomic.Bool // the keeper found no space; sends are refused until it does
	queuesFull   atomic.Bool // a queue holds so much in memory that a checkpoint is due
	failure      atomic.Pointer[error]
	failing      chan struct{} // closed when failure is set

	// firings that the journal has got, from the replay point of the last recovery on, and
	// how many of them there were when the last checkpoint began.
	firings      atomic.Int64
	checkpointed atomic.Int64

	markMu   sync.Mutex
	lastMark mark // guarded by markMu; written by the dispatcher

	keepMu       sync.Mutex // held during a round of the keeper; taken before checkpointMu
	checkpointMu sync.Mutex // held while segments are registered or removed

	closed     atomic.Bool
	closeOnce  sync.Once
	closeErr   error
	stop       chan struct{}
	loaderKick chan struct{}
	keeperKick chan struct{}
	prefetch   *prefetcher
	keysKick   chan struct{}
	wg         sync.WaitGroup
}

// Names within a store directory.
const (
	lockName     = "LOCK"
	manifestName = "MANIFEST"
	logDir       = "commitlog"
	indexDir     = "delayindex"
	keysDir      = "keyindex"
	journalDir   = "journal"
	cancelDir    = "cancel"
	queueDir     = "consumequeue"
	poolDir      = "spare"
)

// Open opens or creates the store in dir and starts firing. It returns a
// *LockedError when another process has it. Opening costs what was written since
// the last checkpoint, not what is pending.
func Open(dir string, o *Options) (*Store, error) {
	var opts Options
	if o != nil {
		opts = *o
	}
	opts.EnsureDefaults()
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := newStore(dir, opts)
	err := s.open()
	if gaveUp, _ := s.giveUpDamaged(err); gaveUp {
		s.log.Error("delay index run is damaged; it is rebuilt from the commit log", "error", err)
		s.release()
		s = newStore(dir, opts)
		err = s.open()
	}
	if err != nil {
		s.release()
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

func newStore(dir string, opts Options) *Store {
	s := &Store{
		dir:        dir,
		opts:       opts,
		log:        opts.Logger,
		clock:      opts.clock,
		maxDelayMs: opts.MaxDelay.Milliseconds(),
		near:       newNear(opts.NearEntries),
		cancels:    newCancels(),
		stop:       make(chan struct{}),
		failing:    make(chan struct{}),
		loaderKick: make(chan struct{}, 1),
		keeperKick: make(chan struct{}, 1),
		keysKick:   make(chan struct{}, 1),
	}
	switch {
	case s.clock != nil:
	case opts.Clock != nil:
		s.clock = opts.Clock
	default:
		s.clock = newClock()
	}
	s.compactor = newCompactor(s)
	s.prefetch = newPrefetcher(s)
	s.registry = newRegistry(s)
	s.busy = newBusy()
	s.metrics = newMetrics(s)
	return s
}

func (s *Store) open() error {
	if err := durable.MakeDir(s.dir); err != nil {
		return err
	}
	var err error
	if s.lockFile, err = lockFile(filepath.Join(s.dir, lockName)); err != nil {
		return err
	}
	if s.pool, err = segment.OpenPool(filepath.Join(s.dir, poolDir), 0); err != nil {
		return err
	}
	d, err := s.recover()
	if err != nil {
		return err
	}
	if err := s.metrics.register(s.opts.Registerer); err != nil {
		d.due.close()
		return err
	}
	s.moveSizeCutoff() // what it had reached is gone
	s.watchDisk()
	s.wg.Add(6)
	go d.run()
	go s.tendKeys()
	go s.prefetch.run()
	go s.load()
	go s.keep()
	go s.compact()
	return nil
}

// Close stops firing, writes a checkpoint, so that the next Open has nothing to
// replay, and gives the directory back. Puts under way are completed. It is
// idempotent and returns the first error.
func (s *Store) Close() error {
	s.closeOnce.Do(func() { s.closeErr = s.close() })
	return s.closeErr
}

func (s *Store) close() error {
	s.closed.Store(true)
	var errs []error
	for _, l := range s.lanes {
		errs = append(errs, l.log.Close()) // commits what was accepted
	}
	close(s.stop)
	s.clock.wake()
	s.wg.Wait()
	if s.failure.Load() == nil {
		errs = append(errs, s.lastFlush())
	}
	errs = append(errs, s.release())
	return errors.Join(errs...)
}

// lastFlush leaves nothing for the next Open to rebuild.
func (s *Store) lastFlush() error {
	s.near.mu.Lock()
	for _, l := range s.lanes {
		l.index.Freeze()
		l.freezeKeys()
	}
	s.cold.lane.freezeKeys()
	s.near.mu.Unlock()
	if err := s.flushIndexes(); err != nil {
		return err
	}
	return s.checkpoint()
}

// release closes whatever is open. It serves a failed open too.
func (s *Store) release() error {
	var errs []error
	for _, l := range s.lanes {
		if l == nil {
			continue
		}
		if l.log != nil {
			errs = append(errs, l.log.Close())
		}
		if l.index != nil {
			errs = append(errs, l.index.Close())
		}
		if l.keys != nil {
			errs = append(errs, l.keys.Close())
		}
	}
	errs = append(errs, s.cold.close())
	if s.journalLog != nil {
		errs = append(errs, s.journalLog.Close())
	}
	if s.cancelLog != nil {
		errs = append(errs, s.cancelLog.Close())
	}
	if s.queues != nil {
		errs = append(errs, s.queues.Close())
	}
	if s.catalog != nil {
		errs = append(errs, s.catalog.close())
	}
	s.metrics.unregister(s.opts.Registerer)
	s.clock.close()
	if s.lockFile != nil {
		errs = append(errs, s.lockFile.Close())
	}
	return errors.Join(errs...)
}

// Queue returns the queue with number id of topic and creates it, durably, when
// it does not exist. It is cheap for a queue that does.
func (s *Store) Queue(topic string, id int32) (*Queue, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	k := queueKey{topic, id}
	if q := s.registry.lookup(k); q != nil {
		return q, nil
	}
	return s.registry.create(k)
}

// LookupQueue returns nil when the queue was never created.
func (s *Store) LookupQueue(topic string, id int32) *Queue {
	return s.registry.lookup(queueKey{topic, id})
}

// NowMs is the wall clock that decides what is due, in ms since 1970.
func (s *Store) NowMs() int64 { return s.clock.NowMs() }

// Pending returns how many scheduled messages have not fired.
func (s *Store) Pending() int64 { return s.pending.Load() }

// Checkpoint writes a checkpoint now instead of at its time.
func (s *Store) Checkpoint(context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	return s.checkpoint()
}

// Read returns the payload of size bytes at loc. The view must be released.
// The error is ErrNotFound when retention has removed the message.
func (s *Store) Read(loc commitlog.Loc, size int32) (commitlog.View, error) {
	if loc.Lane() == coldLane {
		b, err := s.cold.files.View(loc.Offset(), size)
		return commitlog.BytesView(b), closedError(err)
	}
	l, err := s.laneOf(loc)
	if err != nil {
		return commitlog.View{}, err
	}
	return l.log.View(loc, size)
}

// ReadAt is Read for a caller that has only a location, such as one that a client
// sent. The size is taken from the bytes in front of loc, so for a loc that was
// never a message's the result is ErrNotFound or bytes without meaning: the
// caller checks them.
func (s *Store) ReadAt(loc commitlog.Loc) (commitlog.View, error) {
	it, err := s.recordHeader(loc)
	if err != nil {
		return commitlog.View{}, err
	}
	v, err := s.Read(loc, it.Size)
	return v, notFound(err)
}

// recordHeader parses the bytes in front of a payload.
func (s *Store) recordHeader(loc commitlog.Loc) (commitlog.Item, error) {
	if loc.Offset() < commitlog.RecordHeaderSize {
		return commitlog.Item{}, ErrNotFound
	}
	header, err := s.Read(loc-commitlog.RecordHeaderSize, commitlog.RecordHeaderSize)
	if err != nil {
		return commitlog.Item{}, notFound(err)
	}
	defer header.Release()
	it, err := commitlog.ParseRecordHeader(header.Bytes())
	if err != nil || s.movedAway(loc, it.When) {
		return it, ErrNotFound
	}
	return it, nil
}

// movedAway reports whether a message of the far lane lives in a cold file, although
// its segment is still there, cut. Its old location must not be cancelled. While the
// cut is registered, but the new location not shown yet, the old one is asked.
func (s *Store) movedAway(loc commitlog.Loc, fireMs int64) bool {
	if loc.Lane() != farLane {
		return false
	}
	base, moved := s.lanes[farLane].segmentBase(loc.Offset()), false
	s.catalog.view(func(st *catalogState) {
		cut, ok := st.cuts[base]
		moved = ok && fireMs >= cut.ms
	})
	return moved && s.cold.moving.Load() != base // in this order: see evacuation.register
}

// notFound says of a range outside of the log what its reader wants to know.
func notFound(err error) error {
	if errors.Is(err, commitlog.ErrRange) {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

func (s *Store) laneOf(loc commitlog.Loc) (*lane, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	if int(loc.Lane()) >= len(s.lanes) {
		return nil, ErrNotFound
	}
	return s.lanes[loc.Lane()], nil
}

// Err returns the error that stopped the store, nil while it works. After an
// error nothing more is accepted, firing may have stopped, and it must be reopened.
func (s *Store) Err() error {
	if p := s.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// fail records the first error that the store cannot work on after.
func (s *Store) fail(err error) {
	if s.failure.CompareAndSwap(nil, &err) {
		close(s.failing)
		s.log.Error("store stopped: restart the process after mending the cause; nothing acknowledged is lost", "error", err)
	}
}

// keeperFailed tells what passes, such as want of space, from what does not. The
// keeper tries again at its next tick.
func (s *Store) keeperFailed(err error) {
	if s.closed.Load() && errors.Is(err, commitlog.ErrClosed) || s.failure.Load() != nil {
		return // Close was faster, or everybody knows
	}
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) {
		s.log.Warn("checkpoint put off", "error", err)
		return
	}
	if errors.Is(err, syscall.ENOSPC) {
		if !s.diskFull.Swap(true) {
			s.log.Error("disk is full: new messages are refused until there is space, due ones still fire", "error", err)
		}
		return
	}
	s.fail(err)
}

func (s *Store) kickLoader() { kick(s.loaderKick) }
func (s *Store) kickKeeper() { kick(s.keeperKick) }
func (s *Store) kickKeys()   { kick(s.keysKick) }

func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
