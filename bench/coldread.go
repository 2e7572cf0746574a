package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/bench/probe"
	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/store"
)

// coldPlace is a cold message and the block that it is in.
type coldPlace struct {
	loc    commitlog.Loc
	size   int32
	id     uint32
	file   int   // number of its file
	at     int64 // of the block in the file
	stored int64 // bytes of the block
}

// coldPage is what a disk reads at least.
const coldPage = 4096

// findPlaces asks the store which messages wait, and their files where they stand.
func (x *coldRun) findPlaces(ctx context.Context) error {
	paths, err := x.coldPaths()
	if err != nil {
		return err
	}
	files := make([]*cold.File, len(paths))
	bases := map[int64]int{}
	for i, path := range paths {
		if files[i], err = cold.OpenFile(path, coldLane, nil); err != nil {
			return err
		}
		defer files[i].Close()
		bases[files[i].Info().Base] = i
	}
	for m, err := range x.store.PendingAfter(store.PendingPosition{}, math.MaxInt64) {
		if err != nil {
			return err
		}
		if m.Loc.Lane() != coldLane {
			return fmt.Errorf("message %d was not moved to a cold file", m.Key)
		}
		i, ok := bases[m.Loc.Offset()/coldSegment*coldSegment]
		if !ok {
			return fmt.Errorf("no cold file has message %d", m.Key)
		}
		b, ok := files[i].Block(m.Loc.Offset())
		if !ok {
			return fmt.Errorf("no block has message %d", m.Key)
		}
		x.places = append(x.places, coldPlace{m.Loc, m.Size, m.Key, i, b.Offset, b.Stored})
	}
	if want := int(x.N + x.Burst*int64(x.Rounds)); len(x.places) != want {
		return &VerdictError{Verdict: Verdict{Lost: int64(want - len(x.places))}}
	}
	slices.SortFunc(x.places, func(a, b coldPlace) int { return int(int64(a.loc) - int64(b.loc)) })
	return ctx.Err()
}

// coldLane is the number of the lane of cold files in locations and paths.
const coldLane = 16

func (x *coldRun) coldPaths() ([]string, error) {
	return filepath.Glob(filepath.Join(x.dir, "data", "commitlog", fmt.Sprint(coldLane), "*"))
}

// evict makes the machine forget the cold files.
func (x *coldRun) evict() error {
	paths, err := x.coldPaths()
	for _, path := range paths {
		err = errors.Join(err, durable.DropCache(path))
	}
	return err
}

// scattered is a random message of each block, in no order.
func (x *coldRun) scattered() (out []coldPlace) {
	for from := 0; from < len(x.places); {
		to := from
		for to < len(x.places) && x.places[to].file == x.places[from].file && x.places[to].at == x.places[from].at {
			to++
		}
		out = append(out, x.places[from+rand.IntN(to-from)])
		from = to
	}
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// readAll reads the files as the disk can, and the messages through the store, several
// times in turn. What is in the decoded-block cache would not be read from disk, so the
// store is opened anew each time.
func (x *coldRun) readAll(ctx context.Context) error {
	var disk, scattered, fraction, sequential, cpuScattered, cpuSequential []float64
	for round := range x.Rounds {
		x.progress("read", int64(round), int64(x.Rounds))
		some := x.scattered()
		raw, err := x.rate(len(some), func() error { return x.readBlocks(some) })
		if err != nil {
			return err
		}
		ours, err := x.rate(len(some), func() error { return x.readMessages(some, x.Readers) })
		if err != nil {
			return err
		}
		all, err := x.rate(len(x.places), func() error { return x.readMessages(x.places, 1) })
		if err != nil {
			return err
		}
		disk, scattered, sequential = append(disk, raw.perSecond), append(scattered, ours.perSecond), append(sequential, all.perSecond)
		fraction = append(fraction, ours.perSecond/raw.perSecond)
		cpuScattered, cpuSequential = append(cpuScattered, ours.cpuUs), append(cpuSequential, all.cpuUs)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	m := x.result.Metrics
	m["disk_reads_per_s"], m["scattered_per_s"], m["sequential_per_s"] = median(disk), median(scattered), median(sequential)
	m["scattered_disk_ratio"] = median(fraction)
	m["scattered_cpu_us"], m["sequential_cpu_us"] = median(cpuScattered), median(cpuSequential)
	var stored, blocks int64
	for _, p := range x.scattered() {
		stored, blocks = stored+p.stored, blocks+1
	}
	m["block_bytes"] = float64(stored) / float64(blocks)
	m["stored_ratio"] = float64(stored) / float64(len(x.places)) / float64(x.Body+commitlog.RecordHeaderSize)
	return nil
}

// coldRate is how fast something is read and what it takes.
type coldRate struct{ perSecond, cpuUs float64 }

// rate measures f, which reads n things that are not in memory.
func (x *coldRun) rate(n int, f func() error) (coldRate, error) {
	if err := errors.Join(x.store.Close(), x.evict(), x.open(nil)); err != nil {
		return coldRate{}, err
	}
	begin, cpu := time.Now(), coldCPU()
	err := f()
	return coldRate{
		perSecond: float64(n) / time.Since(begin).Seconds(), cpuUs: float64((coldCPU() - cpu).Microseconds()) / float64(n),
	}, err
}

// readBlocks reads the blocks of places past the page cache, where that is possible.
func (x *coldRun) readBlocks(places []coldPlace) error {
	paths, err := x.coldPaths()
	if err != nil {
		return err
	}
	files := make([]*os.File, len(paths))
	for i, path := range paths {
		if files[i], err = probe.OpenDirect(path); err != nil {
			return fmt.Errorf("open file past the page cache: %w", err)
		}
		defer files[i].Close()
	}
	return divide(places, coldDepth, func() func(*coldPlace) error {
		var buf []byte
		return func(p *coldPlace) error {
			from := p.at / coldPage * coldPage
			n := (p.at + p.stored - from + coldPage - 1) / coldPage * coldPage
			if int64(len(buf)) < n {
				buf = probe.Aligned(int(n))
			}
			// The end of a file need not be one of a page.
			got, err := files[p.file].ReadAt(buf[:n], from)
			if int64(got) >= p.at+p.stored-from {
				return nil
			}
			return fmt.Errorf("read block: %w", err)
		}
	})
}

// readMessages reads messages through the store.
func (x *coldRun) readMessages(places []coldPlace, readers int) error {
	return divide(places, readers, func() func(*coldPlace) error {
		return func(p *coldPlace) error {
			v, err := x.store.Read(p.loc, p.size)
			if err != nil {
				return fmt.Errorf("read message: %w", err)
			}
			defer v.Release()
			id, err := coldID(v.Bytes())
			if err == nil && uint32(id) != p.id {
				err = &VerdictError{Verdict: Verdict{Altered: 1}}
			}
			return err
		}
	})
}

// divide lets so many workers take places in turn.
func divide(places []coldPlace, workers int, worker func() func(*coldPlace) error) error {
	var g errgroup.Group
	var next atomic.Int64
	for range workers {
		read := worker()
		g.Go(func() error {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(places)) {
					return nil
				}
				if err := read(&places[i]); err != nil {
					return err
				}
			}
		})
	}
	return g.Wait()
}
