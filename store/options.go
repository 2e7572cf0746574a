package store

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/commitlog/segment"
	"github.com/duelog/duelog/internal/durable"
)

// Defaults of Options.
const (
	DefaultMaxDelay           = 366 * 24 * time.Hour
	DefaultRetention          = 72 * time.Hour
	DefaultScheduledRetention = 48 * time.Hour
	DefaultDiskWarn           = 0.80
	DefaultDiskRefuse         = 0.90
	DefaultDiskFree           = 10 << 30
	DefaultCheckpointEvery    = 10 * time.Second
	DefaultCheckpointBytes    = 256 << 20
	DefaultCheckpointFirings  = 2 << 20
	DefaultFlushEvery         = 200 * time.Millisecond
	DefaultSegmentSize        = 1 << 30
	DefaultDelaySegmentSize   = 256 << 20
	DefaultJournalSegmentSize = 64 << 20
	DefaultMemtableEntries    = 2 << 20
	DefaultMemtableBytes      = 256 << 20
	DefaultMemtableAge        = 10 * time.Minute
	DefaultNearEntries        = 8 << 20
	DefaultFireBatch          = 8 << 10
	DefaultEvacuateAfter      = 6 * time.Hour
	DefaultEvacuateRate       = 50 << 20
	DefaultColdCacheBytes     = 64 << 20
)

// Options of Open. The zero value of every field means its default; nil
// Options are allowed.
type Options struct {
	// Flush says when a Put is acknowledged; zero is commitlog.Sync.
	Flush commitlog.FlushPolicy
	// FlushEvery bounds the loss window of commitlog.Async.
	FlushEvery time.Duration
	// Writer says how segments are written; zero is segment.Pwrite.
	Writer segment.Writer

	// MaxDelay is how far ahead of now a fire time may lie.
	MaxDelay time.Duration
	// Retention keeps messages without a fire time for this long after they were stored.
	Retention time.Duration
	// ScheduledRetention keeps scheduled messages for this long after their fire time.
	ScheduledRetention time.Duration
	// RetentionBytes keeps ordinary messages only as long as they are among the newest
	// so many bytes of the commit-log lane that they share with scheduled ones of up to
	// 2 h. Scheduled messages stay for their time whatever it says. 0 = no limit.
	RetentionBytes int64

	// DiskWarn and DiskRefuse say how much of its file system may be used, by whomever,
	// as parts of 1: from DiskWarn on the store warns and keeps no expired file for
	// reuse, from DiskRefuse on it takes no new messages. Neither does so while
	// DiskFree bytes are free (DiskWarn: twice as many), however full a large disk is.
	// DiskRefuse of 1 or more: only a disk without any space is full.
	DiskWarn, DiskRefuse float64
	DiskFree             int64

	// SegmentSize is the bytes per file of lane 0, DelaySegmentSize of the other lanes,
	// JournalSegmentSize of the fire journal. Multiples of 4096.
	SegmentSize        int64
	DelaySegmentSize   int64
	JournalSegmentSize int64

	// A memtable of the delay index is flushed to a run when it holds MemtableEntries,
	// covers MemtableBytes of its lane (which is what recovery has to read again), or is
	// MemtableAge old.
	MemtableEntries int
	MemtableBytes   int64
	MemtableAge     time.Duration

	// A checkpoint is written each CheckpointEvery, or after CheckpointBytes of appends, or
	// after CheckpointFirings. A start after a crash holds 8 bytes for each message that
	// fired since, beside its slot.
	CheckpointEvery   time.Duration
	CheckpointBytes   int64
	CheckpointFirings int64

	// NearEntries bounds the entries (32 bytes each) in the near wheel, which has what is
	// due in the next 45 to 90 s. Seconds that do not fit are read from the index when they
	// fire. Messages that come for a second when it is prepared, at most two seconds before
	// its end, are on top; such messages are refused while so many of them wait.
	NearEntries int
	// FireBatch is the most entries in one journal batch, at most 65535.
	FireBatch int

	// Keys appends to dst the hashes by which Lookup is to find a payload, the same
	// that Message.Keys had, and returns it. Recovery asks it about messages that came
	// after the last flush of the key index; it must not keep payload, which may be
	// damaged. Several goroutines may call it. nil means that there is no key index, and removes one that
	// was there before.
	Keys func(payload []byte, dst []uint64) []uint64

	// Clock replaces the machine's clock; nil is that one.
	Clock *ManualClock
	// EvacuateAfter is the age at which a full segment of messages that wait for more
	// than four days is compacted into a cold file; negative means never. It reads
	// and writes at most EvacuateRate bytes per second, as does the merging of runs.
	EvacuateAfter time.Duration
	EvacuateRate  int64
	// ColdCacheBytes bounds the memory for decompressed blocks of cold messages.
	ColdCacheBytes int64

	// FireRate is the most entries that fire per second; 0 means no bound. What is due
	// beyond it fires late, in order, topics that have little to fire first.
	FireRate int64

	// PrefetchBytes is how many bytes of messages that are due in a second are read into
	// the page cache before, where they are not there; negative means none.
	PrefetchBytes int64
	// MaxOverdue is by how much firing may be behind the clock before scheduled
	// messages are refused, for the topics for which it is; 0 means no limit.
	MaxOverdue time.Duration
	// MaxIndexBacklog is how many memtables of a lane may wait to be written before
	// scheduled messages for it are refused; 0 means that its producers wait instead.
	MaxIndexBacklog int
	// MaxSendWait is how long PutAsync waits for room in a lane before it refuses the
	// message; 0 means no limit.
	MaxSendWait time.Duration

	// Logger receives what an operator should know; nil discards it.
	Logger *slog.Logger
	// Registerer receives the metrics; nil keeps them unregistered.
	Registerer prometheus.Registerer

	// What fires sooner than evacuateAhead is not moved; above mergeAbove runs those of
	// a lane are merged. Replaced by tests.
	evacuateAhead time.Duration
	mergeAbove    int
	// coldBlock is the bytes of a block of a cold file, 0 = the usual ones; coldRaw leaves
	// them uncompressed. Replaced by tests.
	coldBlock int
	coldRaw   bool

	// These are replaced by tests that run in fake time: the clock, how often the
	// keeper looks, how far ahead the near wheel is loaded, and how much a topic
	// fires in a backlog before others need not wait for it.
	clock      clock
	keeperTick time.Duration
	horizon    time.Duration
	// manifestLimit is the size at which the MANIFEST is rewritten.
	manifestLimit int64
	// diskSpace is how a test makes a disk full.
	diskSpace func(dir string) (durable.Space, error)
	// replayFlush bounds the slots that recovery holds.
	replayFlush int
	quantum     int64
	parkMax     int // entries of heavy topics that are kept in memory
}

// EnsureDefaults replaces zero fields by their defaults.
func (o *Options) EnsureDefaults() {
	setDefault(&o.FlushEvery, DefaultFlushEvery)
	setDefault(&o.MaxDelay, DefaultMaxDelay)
	setDefault(&o.Retention, DefaultRetention)
	setDefault(&o.ScheduledRetention, DefaultScheduledRetention)
	setDefault(&o.DiskWarn, DefaultDiskWarn)
	setDefault(&o.DiskRefuse, DefaultDiskRefuse)
	setDefault(&o.DiskFree, DefaultDiskFree)
	setDefault(&o.SegmentSize, DefaultSegmentSize)
	setDefault(&o.DelaySegmentSize, DefaultDelaySegmentSize)
	setDefault(&o.JournalSegmentSize, DefaultJournalSegmentSize)
	setDefault(&o.MemtableEntries, DefaultMemtableEntries)
	setDefault(&o.MemtableBytes, DefaultMemtableBytes)
	setDefault(&o.MemtableAge, DefaultMemtableAge)
	setDefault(&o.CheckpointEvery, DefaultCheckpointEvery)
	setDefault(&o.CheckpointBytes, DefaultCheckpointBytes)
	setDefault(&o.CheckpointFirings, DefaultCheckpointFirings)
	setDefault(&o.NearEntries, DefaultNearEntries)
	setDefault(&o.FireBatch, DefaultFireBatch)
	setDefault(&o.EvacuateAfter, DefaultEvacuateAfter)
	setDefault(&o.EvacuateRate, DefaultEvacuateRate)
	setDefault(&o.ColdCacheBytes, DefaultColdCacheBytes)
	setDefault(&o.evacuateAhead, defaultEvacuateAhead)
	setDefault(&o.mergeAbove, defaultMergeAbove)
	setDefault(&o.PrefetchBytes, DefaultPrefetchBytes)
	setDefault(&o.keeperTick, time.Second)
	if o.Clock != nil {
		setDefault(&o.horizon, manualHorizon)
	}
	setDefault(&o.horizon, defaultHorizon)
	setDefault(&o.manifestLimit, manifestLimit)
	if o.diskSpace == nil {
		o.diskSpace = durable.DiskSpace
	}
	setDefault(&o.replayFlush, replayFlush)
	setDefault(&o.quantum, quantumFor(o.FireRate))
	setDefault(&o.parkMax, defaultParkMax)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports the first field that no store can work with.
func (o *Options) Validate() error {
	for name, size := range map[string]int64{
		"SegmentSize": o.SegmentSize, "DelaySegmentSize": o.DelaySegmentSize, "JournalSegmentSize": o.JournalSegmentSize,
	} {
		if size < 64<<10 || size%4096 != 0 || size > maxUnits*commitlog.GiveBackUnit {
			return fmt.Errorf("%s is %d: it must be a multiple of 4096 between 65536 bytes and 64 GiB", name, size)
		}
	}
	if o.DelaySegmentSize > cold.MaxSegmentSize {
		return fmt.Errorf("DelaySegmentSize is %d: it must be at most %d", o.DelaySegmentSize, cold.MaxSegmentSize)
	}
	if o.EvacuateRate < 1<<20 || o.ColdCacheBytes < 1<<20 {
		return fmt.Errorf("EvacuateRate is %d and ColdCacheBytes %d: both must be at least 1 MiB", o.EvacuateRate, o.ColdCacheBytes)
	}
	if o.FireBatch < 1 || o.FireBatch > 65535 {
		return fmt.Errorf("FireBatch is %d: it must lie between 1 and 65535", o.FireBatch)
	}
	if int64(o.FireBatch)*maxFiringSize+4096 > o.JournalSegmentSize {
		return fmt.Errorf("FireBatch %d does not fit a journal segment of %d bytes", o.FireBatch, o.JournalSegmentSize)
	}
	if o.MaxDelay < 0 || o.Retention < 0 || o.ScheduledRetention < 0 || o.RetentionBytes < 0 {
		return errors.New("MaxDelay, Retention, ScheduledRetention and RetentionBytes must not be negative")
	}
	if o.DiskWarn < 0 || o.DiskRefuse < 0 || o.DiskFree < 0 {
		return errors.New("DiskWarn, DiskRefuse and DiskFree must not be negative")
	}
	if o.MaxOverdue < 0 || o.MaxIndexBacklog < 0 || o.MaxSendWait < 0 {
		return errors.New("MaxOverdue, MaxIndexBacklog and MaxSendWait must not be negative")
	}
	if o.FireRate < 0 {
		return fmt.Errorf("FireRate is %d: it must not be negative", o.FireRate)
	}
	if o.NearEntries < 1024 {
		return fmt.Errorf("NearEntries is %d: it must be at least 1024", o.NearEntries)
	}
	return nil
}
