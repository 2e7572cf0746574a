package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/duelog/duelog/internal/durable"
)

const (
	spareSuffix = ".spare"

	// DefaultSpares is how many files of one size a Pool keeps unless told otherwise.
	DefaultSpares = 2
)

// Pool holds recycled segment files for reuse, a bounded number of each size. Its
// directory must be on the file system of the chains that share it. A nil *Pool is
// a valid pool that keeps nothing. Safe for concurrent use.
type Pool struct {
	dir string

	mu     sync.Mutex
	keep   int                // guarded by mu
	spares map[int64][]string // size -> paths; guarded by mu
	seq    uint64             // guarded by mu
}

// OpenPool returns a pool in dir that keeps at most keep files of a size (0 =
// DefaultSpares). Files left there by an earlier run are taken over, those beyond
// the bound are deleted. The directory is created when the first file arrives.
func OpenPool(dir string, keep int) (*Pool, error) {
	if keep <= 0 {
		keep = DefaultSpares
	}
	p := &Pool{dir: dir, keep: keep, spares: make(map[int64][]string)}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open segment pool: %w", err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), spareSuffix) {
			continue
		}
		if err := p.adopt(e); err != nil {
			return nil, fmt.Errorf("open segment pool: %w", err)
		}
	}
	return p, nil
}

func (p *Pool) adopt(e os.DirEntry) error {
	st, err := e.Info()
	if err != nil {
		return err
	}
	path := filepath.Join(p.dir, e.Name())
	var seq uint64
	if _, err := fmt.Sscanf(e.Name(), "%d"+spareSuffix, &seq); err == nil {
		p.seq = max(p.seq, seq)
	}
	if len(p.spares[st.Size()]) >= p.keep {
		return durable.Remove(path)
	}
	p.spares[st.Size()] = append(p.spares[st.Size()], path)
	return nil
}

// Keep changes how many files of one size the pool keeps, 0 for none, and deletes
// those beyond it.
func (p *Pool) Keep(n int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep = n
	for size, paths := range p.spares {
		for _, path := range paths[min(n, len(paths)):] {
			_ = durable.Remove(path) // one that stays is taken over, or deleted, by the next OpenPool
		}
		p.spares[size] = paths[:min(n, len(paths))]
	}
}

// Bytes is the length of all files that wait for reuse.
func (p *Pool) Bytes() int64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	total := int64(0)
	for size, paths := range p.spares {
		total += size * int64(len(paths))
	}
	return total
}

// Spares is the number of files of that size that wait for reuse.
func (p *Pool) Spares(size int64) int {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.spares[size])
}

// take renames a spare file of that size to path and tells whether there was one.
// The name is durable after a sync of path's directory.
func (p *Pool) take(path string, size int64) bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		list := p.spares[size]
		if len(list) == 0 {
			return false
		}
		spare := list[len(list)-1]
		p.spares[size] = list[:len(list)-1]
		if durable.Rename(spare, path) == nil {
			return true
		}
	}
}

// put moves the file at path into the pool, or unlinks it when there are enough.
func (p *Pool) put(path string, size int64) error {
	if p == nil {
		return durable.Remove(path)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spares[size]) >= p.keep {
		return durable.Remove(path)
	}
	if err := durable.MakeDir(p.dir); err != nil {
		return errors.Join(err, durable.Remove(path))
	}
	p.seq++
	spare := filepath.Join(p.dir, fmt.Sprintf("%020d%s", p.seq, spareSuffix))
	if err := durable.Rename(path, spare); err != nil {
		return errors.Join(err, durable.Remove(path))
	}
	p.spares[size] = append(p.spares[size], spare)
	return nil
}
