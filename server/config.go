package server

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/duelog/duelog/store"
)

// Config is everything an operator can choose. Take DefaultConfig and change
// it, or let Settings fill it from file, environment and flags. It is read once,
// at start; nothing is reloaded.
type Config struct {
	// Data is the directory of the store. It is created when missing.
	Data string

	// Listen is the broker's address, HOST:PORT. The VIP listener takes PORT-2.
	// Port 0 takes a free pair of ports.
	Listen string
	// NamesrvListen is the name server's address. Empty opens no listener for it:
	// the broker's own address answers name-server requests too.
	NamesrvListen string
	// AdminListen is the address of the HTTP server for metrics and health. Empty opens none.
	AdminListen string
	// Advertise is the broker address that clients are told, IP or IP:PORT. Empty
	// is the address that it listens on.
	Advertise string

	// ClusterName and BrokerName are the names under which clients see the broker.
	ClusterName string
	BrokerName  string
	// AutoCreateTopic creates a topic at the first message for it.
	AutoCreateTopic bool
	// MaxMessageSize is the largest body that is accepted, in bytes.
	MaxMessageSize int64
	// MaxDelay is how far ahead a message may be scheduled.
	MaxDelay time.Duration
	// FireRate is the most scheduled messages that become visible per second; 0 is
	// no limit.
	FireRate int64
	// MaxOverdue is by how much firing may be behind before scheduled messages are
	// refused; 0 is no limit.
	MaxOverdue time.Duration
	// MaxIndexBacklog is how many buffers of the delay index may wait to be written
	// before scheduled messages are refused; 0 lets producers wait.
	MaxIndexBacklog int64
	// MaxSendWait is how long a send waits for room before it is refused; 0 is no limit.
	MaxSendWait time.Duration

	// Flush is FlushSync or FlushAsync.
	Flush string
	// FlushEvery is the longest time between two flushes under FlushAsync.
	FlushEvery time.Duration
	// Writer is WriterPwrite or WriterMmap.
	Writer string
	// SegmentSize is the size of one commit-log file in bytes. Lanes of messages
	// that are scheduled for later than 2 h use at most 256 MiB of it.
	SegmentSize int64
	// DiskWarn and DiskRefuse are how full the disk of the store may be, in percent,
	// before it warns and before new messages are refused; DiskFree is how many free
	// bytes are enough however full it is.
	DiskWarn, DiskRefuse int64
	DiskFree             int64
	// EvacuateAfter is the age at which a full file of messages that wait for more than
	// 4 days is compacted; 0 is never. EvacuateRate bounds the bytes that compaction reads
	// and writes per second.
	EvacuateAfter time.Duration
	EvacuateRate  int64
	// PrefetchSize bounds the bytes of messages due in one second that are read into
	// memory before, where they are not there; 0 is none.
	PrefetchSize int64
	// KeyIndex keeps an index by which messages are found by id and by key.
	KeyIndex bool
	// Retention is how long an ordinary message is kept after it was stored.
	Retention time.Duration
	// ScheduledRetention is how long a scheduled message is kept after its time.
	ScheduledRetention time.Duration
	// RetentionSize bounds the bytes of the commit log among which ordinary messages
	// are kept; 0 is no limit.
	RetentionSize int64

	// Pprof serves /debug/pprof on the admin address.
	Pprof bool
	// Demo schedules a message every second and prints when it came.
	Demo bool
	// DrainTimeout bounds the graceful stop.
	DrainTimeout time.Duration
	// LogLevel is debug, info, warn or error; LogFormat is LogText or LogJSON.
	LogLevel  string
	LogFormat string
}

// The words that the fields of Config accept.
const (
	FlushSync    = "sync"
	FlushAsync   = "async"
	WriterPwrite = "pwrite"
	WriterMmap   = "mmap"
	LogText      = "text"
	LogJSON      = "json"
)

// vipOffset is how far the VIP listener is below the broker's port. Clients
// compute it themselves; part of the protocol, do not change.
const vipOffset = 2

// maxFrame is the protocol's limit for one request; headerRoom is what a send's
// header and properties may take of it.
const (
	maxFrame   = 16 << 20
	headerRoom = 128 << 10
)

// longestDelay is a year and a day, which the store is laid out for; longestKept
// keeps a fire time plus retention far from what a file can hold.
const (
	longestDelay = 366 * day
	longestKept  = 100 * 366 * day
)

// minSegment keeps a segment larger than the largest frame that must fit into it.
const minSegment = 1 << 20

// mostPrefetch is more than a disk reads in a second.
const mostPrefetch = 16 << 30

// DefaultConfig returns the configuration of a process without flags.
func DefaultConfig() Config {
	return Config{
		Data:               "duelog-data",
		Listen:             "127.0.0.1:10911",
		NamesrvListen:      "127.0.0.1:9876",
		AdminListen:        "127.0.0.1:5557", // where RocketMQ 5 brokers are scraped
		ClusterName:        "DefaultCluster",
		BrokerName:         "broker-a",
		AutoCreateTopic:    true,
		MaxMessageSize:     4 << 20,
		MaxDelay:           longestDelay,
		MaxOverdue:         time.Minute,
		MaxIndexBacklog:    4,
		MaxSendWait:        time.Second,
		Flush:              FlushSync,
		FlushEvery:         200 * time.Millisecond,
		Writer:             WriterPwrite,
		SegmentSize:        1 << 30,
		DiskWarn:           80,
		DiskRefuse:         90,
		DiskFree:           10 << 30,
		EvacuateAfter:      store.DefaultEvacuateAfter,
		EvacuateRate:       store.DefaultEvacuateRate,
		PrefetchSize:       store.DefaultPrefetchBytes,
		KeyIndex:           true,
		Retention:          3 * day,
		ScheduledRetention: 2 * day,
		DrainTimeout:       10 * time.Second,
		LogLevel:           "info",
		LogFormat:          LogText,
	}
}

// Validate reports everything that is wrong with c, each with what to do.
func (c *Config) Validate() error {
	return errors.Join(
		c.validateNames(),
		c.validateAddresses(),
		c.validateStore(),
		c.validateLimits(),
	)
}

// validName is what RocketMQ allows in cluster and broker names.
var validName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

func (c *Config) validateNames() error {
	var errs []error
	for _, n := range []struct{ flag, value string }{{"cluster", c.ClusterName}, {"broker-name", c.BrokerName}} {
		if !validName.MatchString(n.value) {
			errs = append(errs, fmt.Errorf("--%s %q: use 1 to 64 of the characters a-z A-Z 0-9 _ -", n.flag, n.value))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validateStore() error {
	var errs []error
	if c.Data == "" {
		errs = append(errs, errors.New("--data is empty: name a directory for the store"))
	}
	if c.SegmentSize < max(minSegment, 2*c.MaxMessageSize) {
		errs = append(errs, fmt.Errorf("--segment-size %s is too small: use at least %s, so that the largest message fits", formatSize(c.SegmentSize), formatSize(max(minSegment, 2*c.MaxMessageSize))))
	}
	if c.SegmentSize%4096 != 0 {
		errs = append(errs, fmt.Errorf("--segment-size %s must be a multiple of 4KiB", formatSize(c.SegmentSize)))
	}
	if c.DiskWarn < 1 || c.DiskRefuse < c.DiskWarn || c.DiskRefuse > 100 {
		errs = append(errs, fmt.Errorf("--disk-warn %d%% and --disk-refuse %d%%: use 1%% to 100%%, and warn first; 100%% is a disk without any space", c.DiskWarn, c.DiskRefuse))
	}
	if c.DiskFree < 1 {
		errs = append(errs, errors.New("--disk-free must be at least 1B"))
	}
	if c.EvacuateRate < 1<<20 {
		errs = append(errs, fmt.Errorf("--evacuate-rate %s: use at least 1MiB per second; to compact nothing, set --evacuate-after to 0s", formatSize(c.EvacuateRate)))
	}
	if c.PrefetchSize > mostPrefetch {
		errs = append(errs, fmt.Errorf("--prefetch-size %s: use at most %s, or 0B to read nothing ahead; it has to fit into memory", formatSize(c.PrefetchSize), formatSize(mostPrefetch)))
	}
	if c.FlushEvery < time.Millisecond || c.FlushEvery > time.Minute {
		errs = append(errs, fmt.Errorf("--flush-every %s: use 1ms to 1m", formatDuration(c.FlushEvery)))
	}
	return errors.Join(errs...)
}

func (c *Config) validateLimits() error {
	var errs []error
	if c.MaxMessageSize < 1 || c.MaxMessageSize > maxFrame-headerRoom {
		errs = append(errs, fmt.Errorf("--max-message-size %s: use 1B to %s; the protocol's frames end at 16MiB, header included", formatSize(c.MaxMessageSize), formatSize(maxFrame-headerRoom)))
	}
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
		most  time.Duration
	}{
		{"max-delay", c.MaxDelay, time.Second, longestDelay},
		{"retention", c.Retention, time.Minute, longestKept},
		{"scheduled-retention", c.ScheduledRetention, time.Minute, longestKept},
		{"max-overdue", c.MaxOverdue, 0, longestDelay},
		{"max-send-wait", c.MaxSendWait, 0, time.Hour},
		{"evacuate-after", c.EvacuateAfter, 0, longestDelay},
		{"drain-timeout", c.DrainTimeout, time.Millisecond, time.Hour},
	} {
		if d.value < d.least || d.value > d.most {
			errs = append(errs, fmt.Errorf("--%s %s: use %s to %s", d.flag, formatDuration(d.value), formatDuration(d.least), formatDuration(d.most)))
		}
	}
	if c.MaxIndexBacklog < 0 || c.MaxIndexBacklog > 1000 {
		errs = append(errs, fmt.Errorf("--max-index-backlog %d: use 0 to 1000; 0 lets producers wait", c.MaxIndexBacklog))
	}
	if c.FireRate < 0 {
		errs = append(errs, fmt.Errorf("--fire-rate %d: use a number of messages per second, or 0 for no limit", c.FireRate))
	}
	if c.Demo && !c.AutoCreateTopic {
		errs = append(errs, errors.New("--demo sends to a topic of its own: leave --auto-create-topic on, or leave --demo out"))
	}
	return errors.Join(errs...)
}
