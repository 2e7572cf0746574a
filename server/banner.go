package server

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// banner is what an operator wants to know in the moment of the start.
type banner struct {
	cfg       *Config
	addrs     Addrs
	dataDir   string // absolute
	pending   int64
	openTime  time.Duration
	processID int
}

// write prints the banner for people.
func (b *banner) write(w io.Writer) error {
	var s strings.Builder
	fmt.Fprintf(&s, "\n%s is ready\n\n", versionLine())
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "  %-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("broker", "%s (VIP %s)%s", b.addrs.Broker, b.addrs.VIP, b.advertisedNote())
	row("name server", "%s  <- configure clients with this", b.nameServer())
	if b.addrs.Admin != "" {
		row("admin", "http://%s/metrics, /healthz, /readyz%s", b.addrs.Admin, b.pprofNote())
	}
	row("data", "%s (%d pending, opened in %s)", b.dataDir, b.pending, b.openTime.Round(100*time.Microsecond))
	row("flush", "%s", flushPromise(b.cfg))
	row("stop", "Ctrl-C, or: kill -TERM %d", b.processID)
	s.WriteByte('\n')
	_, err := io.WriteString(w, s.String())
	return err
}

// log says the same for machines.
func (b *banner) log(l *slog.Logger) {
	l.Info("ready", "version", Version(), "broker", b.addrs.Broker, "vip", b.addrs.VIP, "name_server", b.nameServer(),
		"admin", b.addrs.Admin, "advertised", b.addrs.Advertised, "data", b.dataDir, "pending", b.pending,
		"open_ms", b.openTime.Milliseconds(), "flush", b.cfg.Flush, "pid", b.processID)
}

func (b *banner) nameServer() string {
	if b.addrs.Namesrv == "" {
		return b.addrs.Advertised
	}
	return b.addrs.Namesrv
}

func (b *banner) advertisedNote() string {
	if b.addrs.Advertised == b.addrs.Broker {
		return ""
	}
	return ", clients are told " + b.addrs.Advertised
}

func (b *banner) pprofNote() string {
	if !b.cfg.Pprof {
		return ""
	}
	return ", /debug/pprof/"
}

// flushPromise says what an acknowledgement is worth.
func flushPromise(c *Config) string {
	if c.Flush == FlushAsync {
		return fmt.Sprintf("async: a killed process loses nothing; a power loss or kernel crash loses up to the last %s or 4MiB of acknowledged messages", formatDuration(c.FlushEvery))
	}
	return "sync: an acknowledged message survives kill -9 and power loss"
}

// announce says that the server is ready.
func (s *Server) announce() error {
	b := &banner{
		cfg: s.cfg, addrs: s.addrs, dataDir: s.dataDir, pending: s.store.Pending(),
		openTime: s.openTime, processID: os.Getpid(),
	}
	if s.cfg.LogFormat == LogJSON {
		b.log(s.log)
		return nil
	}
	return b.write(s.out)
}
