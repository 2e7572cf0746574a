package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/duelog/duelog/bench/probe"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/durable"
)

// Index measures the delay index alone, with more entries than there is room for
// bodies: what it takes to add N fire times, what memory and disk they take, how long
// it is opened, and how fast all of them come back in order from files that are not
// in memory. It uses package delayindex as the store does, one lane, and keeps the
// list of runs in memory as the store does in its MANIFEST. No message has a body, and
// the result says so.
type Index struct {
	N   int64 // entries; default 100,000,000
	Mix Mix   // default MixYear
}

// Name implements Workload.
func (w *Index) Name() string { return "index" }

func (w *Index) params() map[string]any {
	return map[string]any{"n": w.N, "mix": string(w.Mix), "bodies": "none: the index alone"}
}

// size has no meaning here; limits are measured for the least body.
func (w *Index) size() int { return MinBody }

// messages is 0: there are none.
func (w *Index) messages() int64 { return 0 }

func (w *Index) check() error {
	if w.Mix == "" {
		w.Mix = MixYear
	}
	if w.N == 0 {
		w.N = 100_000_000
	}
	if w.N < 1 || w.Mix == MixNow {
		return errors.New("index wants a number of entries and a mix of delays")
	}
	return w.Mix.Validate()
}

// Sizes of the store: entries of a memtable and of a block that is read at a time.
const (
	indexMemtable = 2 << 20
	indexBlock    = 4096
	indexBody     = 88 // lane bytes of a message, as if it had the least body
)

func (w *Index) run(ctx context.Context, s *stage) error {
	dir, err := os.MkdirTemp(s.opts.Dir, "duelog-bench-*")
	if err != nil {
		return fmt.Errorf("make directory for the index: %w", err)
	}
	defer os.RemoveAll(dir)
	s.result.Version = "in this binary"
	x := &indexRun{stage: s, Index: w, dir: dir, base: time.Now().Truncate(time.Hour)}
	before := meter{}.read()
	if err := x.fill(ctx); err != nil {
		return err
	}
	if err := x.reopen(); err != nil {
		return err
	}
	if err := x.fire(ctx); err != nil {
		return err
	}
	meter{}.since(before).addTo(&s.result, w.N)
	s.result.Metrics["anon_rss_bytes"] = float64(x.anon)
	return nil
}

// indexRun is a run of Index.
type indexRun struct {
	*stage
	*Index
	dir   string
	base  time.Time
	index *delayindex.Index
	runs  []delayindex.RunInfo
	anon  int64 // the most anonymous memory that was seen, bytes
	sum   uint64
}

// cpu is the CPU time of this process so far.
func (x *indexRun) cpu() time.Duration {
	u, _ := probe.Self()
	return u.CPU
}

// watch notes how much memory the process has.
func (x *indexRun) watch() {
	if u, err := probe.Self(); err == nil {
		x.anon = max(x.anon, u.AnonRSS)
	}
}

// entry is that of message id: its delay follows from the id, as everywhere here.
func (x *indexRun) entry(id int64) delayindex.Entry {
	fire := x.base.Add(x.Mix.delay(uint64(id))).UnixMilli()
	h := scramble(uint64(id)) // keys are hashes, and so are the few tags
	return delayindex.Entry{
		When: delayindex.MakeWhen(fire, 0), Loc: uint64(id) * indexBody, Size: MinBody + uint32(h>>32&63), Queue: uint32(id & 7),
		Tag: uint32(scramble(h >> 61)), Key: uint32(h),
	}
}

// digest is added up over all entries, in any order, and compared.
func digest(e *delayindex.Entry) uint64 { return scramble(e.When ^ scramble(e.Loc)) }

// fill adds all entries; every memtable that is full becomes a run, durably.
func (x *indexRun) fill(ctx context.Context) error {
	var err error
	if x.index, err = delayindex.Open(x.dir, nil, 0, &delayindex.Options{MemtableEntries: indexMemtable}); err != nil {
		return err
	}
	var batch [1024]delayindex.Entry
	begin, cpu := time.Now(), x.cpu()
	for id := int64(0); id < x.N; {
		n := min(int64(len(batch)), x.N-id)
		for i := range n {
			batch[i] = x.entry(id + i)
			x.sum += digest(&batch[i])
		}
		id += n
		x.index.Add(batch[:n], id*indexBody)
		if !x.index.MemtableFull() && id < x.N {
			continue
		}
		if err := x.flush(); err != nil {
			return err
		}
		x.watch()
		x.progress("add", id, x.N)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	took := time.Since(begin)
	d, err := probe.DiskUsage(x.dir)
	if err != nil {
		return err
	}
	m := x.result.Metrics
	m["append_ns"] = float64(took.Nanoseconds()) / float64(x.N)
	m["append_cpu_ns"] = float64((x.cpu() - cpu).Nanoseconds()) / float64(x.N)
	m["bytes_per_pending"] = float64(d.Allocated) / float64(x.N)
	m["runs"] = float64(len(x.runs))
	return nil
}

func (x *indexRun) flush() error {
	x.index.Freeze()
	ri, wrote, err := x.index.Flush(nil)
	if err != nil {
		return err
	}
	x.runs = append(x.runs, ri)
	return x.index.Install(ri, wrote)
}

// reopen closes the index, drops its files from memory and opens it.
func (x *indexRun) reopen() error {
	if err := x.index.Close(); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(x.dir, "*.run"))
	if err != nil {
		return err
	}
	for _, path := range files {
		if err := durable.DropCache(path); err != nil {
			return err
		}
	}
	begin := time.Now()
	end := x.runs[len(x.runs)-1].End
	if x.index, err = delayindex.Open(x.dir, x.runs, end, &delayindex.Options{MemtableEntries: indexMemtable}); err != nil {
		return err
	}
	x.result.Metrics["open_ms"] = ms(time.Since(begin))
	x.watch()
	return nil
}

// fire reads all entries in order, as the loader of the store does.
func (x *indexRun) fire(ctx context.Context) error {
	defer x.index.Close()
	begin, cpu := time.Now(), x.cpu()
	snap := x.index.Snapshot()
	defer snap.Release()
	it := snap.Iter(0, 1<<47)
	defer it.Close()
	block := make([]delayindex.Entry, indexBlock)
	var sum uint64
	var count, lastMs, disorder int64
	for blocks := 0; ; blocks++ {
		n, err := it.Next(block)
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		if n == 0 {
			break
		}
		for i := range block[:n] {
			if fire := block[i].FireMs(); fire < lastMs {
				disorder++
			} else {
				lastMs = fire
			}
			sum += digest(&block[i])
		}
		count += int64(n)
		if blocks%1024 == 0 {
			x.watch()
			x.progress("fire", count, x.N)
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	x.result.Metrics["fire_per_s"] = float64(count) / time.Since(begin).Seconds()
	x.result.Metrics["fire_cpu_ns"] = float64((x.cpu() - cpu).Nanoseconds()) / float64(count)
	if count != x.N || sum != x.sum || disorder > 0 {
		return &VerdictError{Verdict: Verdict{Lost: x.N - count, Early: disorder, Altered: changed(sum != x.sum)}}
	}
	return nil
}

func changed(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
