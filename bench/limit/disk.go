package limit

import (
	"context"
	"hash/crc32"
	"net"
	"os"
	"time"

	"github.com/duelog/duelog/internal/durable"
)

const (
	chunk = 4 << 20
	// fileSize is where writing begins again: the file stays small, and its blocks
	// are there from the start, as those of a recycled log file.
	fileSize = 256 << 20
)

// memcpyCRC goes through a buffer larger than the caches, as bodies do.
func memcpyCRC(ctx context.Context, c Config) (Figure, error) {
	src, dst := make([]byte, 64<<20), make([]byte, 64<<20)
	table := crc32.MakeTable(crc32.Castagnoli)
	w := startWatch()
	var n int64
	for at := 0; ctx.Err() == nil; n++ {
		if at+c.Body > len(src) {
			at = 0
			if time.Since(w.start) > c.Each {
				break
			}
		}
		copy(dst[at:at+c.Body], src[at:])
		_ = crc32.Checksum(dst[at:at+c.Body], table)
		at += c.Body
	}
	return w.figure(n), ctx.Err()
}

// scratch is a preallocated file that is gone after close.
func scratch(dir string) (f *os.File, done func(), err error) {
	if f, err = os.CreateTemp(dir, "limit-*"); err != nil {
		return nil, nil, err
	}
	done = func() {
		f.Close()
		os.Remove(f.Name())
	}
	if err = durable.Preallocate(f, fileSize); err == nil {
		err = f.Sync()
	}
	if err != nil {
		done()
		return nil, nil, err
	}
	return f, done, nil
}

func disk(ctx context.Context, c Config) (Figure, error) {
	f, done, err := scratch(c.Dir)
	if err != nil {
		return Figure{}, err
	}
	defer done()
	buf := make([]byte, chunk)
	var took []time.Duration
	w := startWatch()
	var bytes int64
	for bytes == 0 || time.Since(w.start) < c.Each && ctx.Err() == nil {
		start := time.Now()
		if _, err := f.WriteAt(buf, bytes%fileSize); err != nil {
			return Figure{}, err
		}
		if err := durable.Datasync(f); err != nil {
			return Figure{}, err
		}
		took = append(took, time.Since(start))
		bytes += chunk
	}
	return w.figure(bytes / int64(c.Body)).latencies(took), ctx.Err()
}

// syncLocal is what a producer within the process gets that waits for each
// acknowledgement.
func syncLocal(ctx context.Context, c Config) (Figure, error) {
	return syncs(ctx, c, func(buf []byte, write func([]byte) error) (func() error, func(), error) {
		return func() error { return write(buf) }, func() {}, nil
	})
}

// syncRoundTrip is the same for one behind a connection.
func syncRoundTrip(ctx context.Context, c Config) (Figure, error) {
	return syncs(ctx, c, func(buf []byte, write func([]byte) error) (func() error, func(), error) {
		near, stop, err := loopback(write, len(buf))
		return func() error { return roundTrip(near, buf) }, stop, err
	})
}

// syncs repeats an operation, of which prepare makes one that calls write once.
func syncs(ctx context.Context, c Config, prepare func(buf []byte, write func([]byte) error) (op func() error, stop func(), err error)) (Figure, error) {
	f, done, err := scratch(c.Dir)
	if err != nil {
		return Figure{}, err
	}
	defer done()
	at := int64(0)
	op, stop, err := prepare(make([]byte, c.Body), func(buf []byte) error {
		if _, err := f.WriteAt(buf, at); err != nil {
			return err
		}
		at = (at + int64(len(buf))) % (fileSize - int64(len(buf)))
		return durable.Datasync(f)
	})
	if err != nil {
		return Figure{}, err
	}
	defer stop()
	var took []time.Duration
	w := startWatch()
	for len(took) == 0 || time.Since(w.start) < c.Each && ctx.Err() == nil {
		start := time.Now()
		if err := op(); err != nil {
			return Figure{}, err
		}
		took = append(took, time.Since(start))
	}
	return w.figure(int64(len(took))).latencies(took), ctx.Err()
}

func roundTrip(c net.Conn, buf []byte) error {
	if _, err := c.Write(buf); err != nil {
		return err
	}
	_, err := readFull(c, buf)
	return err
}
