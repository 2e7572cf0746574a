package probe

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ReadHost returns what the machine did so far.
func ReadHost() (Host, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return Host{}, fmt.Errorf("read CPU time of the machine: %w", err)
	}
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return Host{}, fmt.Errorf("read load average: %w", err)
	}
	h := Host{At: time.Now()}
	if h.Busy, err = parseBusy(stat); err != nil {
		return Host{}, err
	}
	first, _, _ := strings.Cut(string(load), " ")
	if h.LoadAvg, err = strconv.ParseFloat(first, 64); err != nil {
		return Host{}, fmt.Errorf("read load average: %w", err)
	}
	return h, nil
}

// parseBusy adds all of the first line's times but idle and iowait: user nice
// system idle iowait irq softirq steal. Time of guests is part of user.
func parseBusy(stat []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	f := bytes.Fields(line)
	if len(f) < 9 || string(f[0]) != "cpu" {
		return 0, fmt.Errorf("read CPU time of the machine: unexpected first line %q", line)
	}
	var ticks int64
	for i, field := range f[1:9] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read CPU time of the machine: %w", err)
		}
		if idle := i == 3 || i == 4; !idle {
			ticks += n
		}
	}
	return time.Duration(ticks) * tick, nil
}

// BlockWritten syncs the file system of dir and returns how many bytes its
// device has written since the machine started, by whomever; Unknown when it has
// no device of its own.
func BlockWritten(dir string) int64 {
	d, err := os.Open(dir)
	if err != nil {
		return Unknown
	}
	defer d.Close()
	var st unix.Stat_t
	if unix.Syncfs(int(d.Fd())) != nil || unix.Fstat(int(d.Fd()), &st) != nil {
		return Unknown
	}
	stat, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev)))
	if err != nil {
		return Unknown
	}
	const sectorsWritten = 6 // of 512 bytes, whatever the device's own
	f := bytes.Fields(stat)
	if len(f) <= sectorsWritten {
		return Unknown
	}
	sectors, err := strconv.ParseInt(string(f[sectorsWritten]), 10, 64)
	if err != nil {
		return Unknown
	}
	return sectors * 512
}

// machineDetails fills in what only this system tells.
func machineDetails(m *Machine) {
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = afterColon(info, "model name")
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.MemoryBytes = kilobytes(info, "MemTotal:")
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(release))
	}
}

func afterColon(text []byte, label string) string {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(label)); ok {
			_, v, _ := bytes.Cut(rest, []byte(":"))
			return string(bytes.TrimSpace(v))
		}
	}
	return ""
}

// fileSystems are the magic numbers that benchmarks meet.
var fileSystems = map[int64]string{
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	unix.TMPFS_MAGIC: "tmpfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", unix.V9FS_MAGIC: "9p", unix.NFS_SUPER_MAGIC: "nfs",
}

// FileSystem names the kind of file system that dir is on.
func FileSystem(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	if name, ok := fileSystems[int64(st.Type)]; ok {
		return name
	}
	return fmt.Sprintf("0x%x", st.Type)
}
