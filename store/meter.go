package store

import (
	"os"
	"time"

	"github.com/duelog/duelog/commitlog/segment"
)

// meteredIO is the disk with a clock beside it.
type meteredIO struct {
	segment.Disk
	m *metrics
}

// WriteAt implements segment.IO.
func (d meteredIO) WriteAt(f *os.File, b []byte, off int64) error {
	start := time.Now()
	err := d.Disk.WriteAt(f, b, off)
	d.m.writeSeconds.Observe(time.Since(start).Seconds())
	return err
}

// Datasync implements segment.IO.
func (d meteredIO) Datasync(f *os.File) error {
	start := time.Now()
	err := d.Disk.Datasync(f)
	d.m.syncSeconds.Observe(time.Since(start).Seconds())
	return err
}
