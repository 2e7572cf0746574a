package server

import (
	"time"

	"github.com/spf13/pflag"
)

// group starts a heading of the help text. Flags keep the order in which they
// are bound, which is the order of interest.
func (s *Settings) group(title string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(title, pflag.ContinueOnError)
	fs.SortFlags = false
	s.groups = append(s.groups, &settingGroup{title: title, flags: fs})
	return fs
}

func (s *Settings) bindAddresses(fs *pflag.FlagSet) {
	c := &s.cfg
	text(fs, &c.Listen, "listen", "HOST:PORT", "address of the broker; its VIP listener takes the port 2 below")
	text(fs, &c.NamesrvListen, "namesrv-listen", "HOST:PORT", "address of the name server, what clients are configured with; empty: only the broker's own address answers")
	text(fs, &c.AdminListen, "admin-listen", "HOST:PORT", "HTTP address of /metrics, /healthz and /readyz; empty: none")
	text(fs, &c.Advertise, "advertise", "IP[:PORT]", "broker address that clients are told; empty: the listening one. Needed when listening on 0.0.0.0")
	text(fs, &c.ClusterName, "cluster", "name", "cluster that clients see")
	text(fs, &c.BrokerName, "broker-name", "name", "broker that clients see")
}

func (s *Settings) bindMessages(fs *pflag.FlagSet) {
	c := &s.cfg
	fs.BoolVar(&c.AutoCreateTopic, "auto-create-topic", c.AutoCreateTopic, "create a topic at the first message for it")
	size(fs, &c.MaxMessageSize, "max-message-size", "largest message body that is accepted")
	duration(fs, &c.MaxDelay, "max-delay", "how far ahead a message may be scheduled; beyond it a send is refused")
	fs.Int64Var(&c.FireRate, "fire-rate", c.FireRate, "most scheduled messages that become visible per second; 0: no limit")
	duration(fs, &c.MaxOverdue, "max-overdue", "by how much due messages of a topic may be late before scheduled ones for it are refused; 0s: no limit")
	fs.Int64Var(&c.MaxIndexBacklog, "max-index-backlog", c.MaxIndexBacklog, "full buffers of the delay index that may wait for the disk before scheduled messages are refused; 0: producers wait")
	duration(fs, &c.MaxSendWait, "max-send-wait", "how long a send waits for room before it is refused; 0s: no limit")
	duration(fs, &c.Retention, "retention", "how long an ordinary message is kept after it was stored")
	duration(fs, &c.ScheduledRetention, "scheduled-retention", "how long a scheduled message is kept after its time")
	size(fs, &c.RetentionSize, "retention-size", "keep ordinary messages only among the newest so many bytes of their commit log; 0: no limit")
}

func (s *Settings) bindStore(fs *pflag.FlagSet) {
	c := &s.cfg
	text(fs, &c.Data, "data", "directory", "where the store is; created when missing, used by one process at a time")
	choice(fs, &c.Flush, "flush", "sync: acknowledged messages survive a power loss. async: faster, a power loss takes the last --flush-every", FlushSync, FlushAsync)
	duration(fs, &c.FlushEvery, "flush-every", "longest time between two flushes with --flush async")
	choice(fs, &c.Writer, "writer", "how commit-log files are written", WriterPwrite, WriterMmap)
	size(fs, &c.SegmentSize, "segment-size", "size of a commit-log file; those for delays above 2 h take at most 256MiB")
	fs.Var((*percentValue)(&c.DiskWarn), "disk-warn", "how full the disk may be before the broker warns and keeps no expired files for reuse")
	fs.Var((*percentValue)(&c.DiskRefuse), "disk-refuse", "how full the disk may be before new messages are refused; pending ones fire all the same")
	size(fs, &c.DiskFree, "disk-free", "free space that is enough however full the disk is; to warn, twice as much")
	duration(fs, &c.EvacuateAfter, "evacuate-after", "age at which a file of messages that wait for more than 4 days is compacted; 0s: never")
	size(fs, &c.EvacuateRate, "evacuate-rate", "bytes that compaction reads and writes per second at most")
	size(fs, &c.PrefetchSize, "prefetch-size", "bytes of messages due in a second that are read from disk before it; 0B: none")
	fs.BoolVar(&c.KeyIndex, "key-index", c.KeyIndex, "find messages by id and by key; false removes the index that is there")
}

func (s *Settings) bindRunning(fs *pflag.FlagSet) {
	c := &s.cfg
	fs.BoolVar(&c.Demo, "demo", c.Demo, "schedule one message per second, 3 s ahead, and print when it came")
	fs.BoolVar(&c.Pprof, "pprof", c.Pprof, "serve /debug/pprof on the admin address")
	duration(fs, &c.DrainTimeout, "drain-timeout", "how long a stop waits for clients to take their answers")
	choice(fs, &c.LogLevel, "log-level", "least severity that is logged, to standard error", "debug", "info", "warn", "error")
	choice(fs, &c.LogFormat, "log-format", "text for people, json for machines", LogText, LogJSON)
}

func text(fs *pflag.FlagSet, p *string, name, kind, usage string) {
	fs.Var(textValue{text: p, kind: kind}, name, usage)
}

func duration(fs *pflag.FlagSet, p *time.Duration, name, usage string) {
	fs.Var((*durationValue)(p), name, usage)
}

func size(fs *pflag.FlagSet, p *int64, name, usage string) {
	fs.Var((*sizeValue)(p), name, usage)
}

func choice(fs *pflag.FlagSet, p *string, name, usage string, words ...string) {
	fs.Var(choiceValue{word: p, allowed: words}, name, usage)
}
