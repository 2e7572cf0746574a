package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/durable"
)

// simDisk is the disk under a simulated store: it knows what of the directory
// root is durable, and stops at a chosen operation. After that nothing changes
// any more, whatever the store still tries. What a killed process leaves is then
// simply there; lose turns it into what a power loss leaves:
//
//   - of each file what its last sync had, plus any part, in sectors, of what was
//     written since;
//   - of the names those that a directory sync made durable, plus any beginning,
//     for each directory, of the changes since. A rename between two directories
//     happens in both or in none.
type simDisk struct {
	root string
	rnd  *rand.Rand
	stop func()

	mu      sync.Mutex
	names   map[string]*simNode // by path below root, as the process sees them
	durable map[string]*simNode // the same, as the disk has them for sure
	pending []nameChange        // what lies between the two, oldest first
	inodes  map[uint64]*simNode
	ops     int // carried out so far
	left    int // operations until the end
	space   simSpace
	ended   time.Time
	trace   func(string)
	before  func(op durable.Op, path string) // see watch
}

// simNode is a file or a directory.
type simNode struct {
	dir    bool
	synced []byte // content at the last sync
	gone   []byte // content when its last name went
}

// nameChange is one operation on names that touches one or two directories.
type nameChange struct {
	dirs  []string
	apply func(map[string]*simNode)
}

const (
	simSector = 512
	forever   = 1 << 60
)

var errPowerOff = errors.New("the power is off")

// newSimDisk observes the disk from now on; root is an empty directory.
func newSimDisk(root string, rnd *rand.Rand) *simDisk {
	top := &simNode{dir: true}
	d := &simDisk{
		root: root, rnd: rnd, left: forever, space: simSpace{left: forever}, inodes: map[uint64]*simNode{},
		names: map[string]*simNode{".": top}, durable: map[string]*simNode{".": top},
	}
	d.stop = durable.Observe(d)
	return d
}

// setFuse lets n more operations pass; the last of them may be cut in the middle.
func (d *simDisk) setFuse(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left > 0 && n == 0 {
		d.ended = time.Now()
	}
	d.left = n
}

func (d *simDisk) burnt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left <= 0
}

// count is how many operations there were.
func (d *simDisk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Do implements durable.Observer.
func (d *simDisk) Do(op durable.Op, file *os.File, path, to string, run func() error) error {
	if file != nil {
		path = file.Name()
	}
	rel, err := filepath.Rel(d.root, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return run() // of somebody else
	}
	if to != "" {
		to, _ = filepath.Rel(d.root, to)
	}
	d.tell(op, rel)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left <= 0 {
		return errPowerOff
	}
	d.left--
	d.ops++
	if d.trace != nil {
		d.trace(fmt.Sprintf("%d: op %d %s %s", d.ops, op, rel, to))
	}
	if d.left == 0 {
		d.ended = time.Now()
	}
	if d.left == 0 && d.rnd.IntN(2) == 0 {
		return errPowerOff
	}
	err = d.carryOut(op, file, rel, to, func() error { return d.takeSpace(op, file, rel, to, run) })
	if d.left == 0 {
		return errPowerOff // it was done, but nobody will hear of it
	}
	return err
}

// watch has before called in front of each operation from now on; nil ends it.
func (d *simDisk) watch(before func(op durable.Op, path string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

func (d *simDisk) tell(op durable.Op, path string) {
	d.mu.Lock()
	before := d.before
	d.mu.Unlock()
	if before != nil {
		before(op, path)
	}
}

func (d *simDisk) carryOut(op durable.Op, file *os.File, path, to string, run func() error) error {
	var replaced []byte
	switch op {
	case durable.OpSync:
		return d.sync(file, run)
	case durable.OpRemove:
		replaced = d.content(path)
	case durable.OpRename:
		replaced = d.content(to)
	}
	if err := run(); err != nil {
		return err
	}
	switch op {
	case durable.OpCreate:
		if d.names[path] == nil {
			n := &simNode{}
			d.inodes[d.inode(path)] = n
			d.change(func(m map[string]*simNode) { m[path] = n }, path)
		}
	case durable.OpMkdir:
		n := &simNode{dir: true}
		d.change(func(m map[string]*simNode) { m[path] = n }, path)
	case durable.OpLink:
		n := d.names[path]
		d.change(func(m map[string]*simNode) { m[to] = n }, to)
	case durable.OpRename:
		d.bury(to, replaced)
		n := d.names[path]
		d.change(func(m map[string]*simNode) { m[to] = n; delete(m, path) }, path, to)
	case durable.OpRemove:
		d.bury(path, replaced)
		d.change(func(m map[string]*simNode) { delete(m, path) }, path)
	case durable.OpSyncDir:
		d.syncDir(path)
	}
	return nil
}

// sync makes the content of a file durable. What is stored through a mapping
// meanwhile is not.
func (d *simDisk) sync(file *os.File, run func() error) error {
	st, err := file.Stat()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
	if err != nil {
		return err
	}
	if err := run(); err != nil {
		return err
	}
	n := d.inodes[st.Sys().(*syscall.Stat_t).Ino]
	if n == nil {
		return fmt.Errorf("BUG: sync of %s, which nobody created", file.Name())
	}
	n.synced = content
	return nil
}

// bury keeps the content of a file that loses a name.
func (d *simDisk) bury(path string, content []byte) {
	if n := d.names[path]; n != nil {
		n.gone = content
	}
}

func (d *simDisk) content(path string) []byte {
	b, _ := os.ReadFile(filepath.Join(d.root, path))
	return b
}

func (d *simDisk) inode(path string) uint64 {
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(d.root, path), &st); err != nil {
		panic(err)
	}
	return st.Ino
}

func (d *simDisk) change(apply func(map[string]*simNode), paths ...string) {
	apply(d.names)
	c := nameChange{apply: apply}
	for _, p := range paths {
		c.dirs = append(c.dirs, filepath.Dir(p))
	}
	d.pending = append(d.pending, c)
}

// syncDir makes the pending changes of a directory durable, and with them those
// before them in the directories that they share.
func (d *simDisk) syncDir(dir string) {
	needed := map[string]bool{dir: true}
	keep := make([]bool, len(d.pending))
	for i := len(d.pending) - 1; i >= 0; i-- {
		for _, p := range d.pending[i].dirs {
			keep[i] = keep[i] || needed[p]
		}
		if keep[i] {
			for _, p := range d.pending[i].dirs {
				needed[p] = true
			}
		}
	}
	var rest []nameChange
	for i, c := range d.pending {
		if keep[i] {
			c.apply(d.durable)
		} else {
			rest = append(rest, c)
		}
	}
	d.pending = rest
}

// lose rewrites the directory to what a power loss could have left.
func (d *simDisk) lose(t require.TestingT) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := []float64{0, 0.1, 0.5, 0.9, 1}[d.rnd.IntN(5)]
	d.loseNames(keep)
	current := map[*simNode][]byte{}
	for path, n := range d.names {
		if !n.dir {
			current[n] = d.content(path)
		}
	}
	files := map[string][]byte{}
	for path, n := range d.durable {
		if n.dir {
			continue
		}
		now, ok := current[n]
		if !ok {
			now = n.gone
		}
		files[path] = n.image(now, d.rnd, keep)
	}
	d.rewrite(t, files)
}

// loseNames decides which pending changes have reached the disk.
func (d *simDisk) loseNames(keep float64) {
	stopped := map[string]bool{}
	for _, c := range d.pending {
		ok := d.rnd.Float64() < keep
		for _, dir := range c.dirs {
			ok = ok && !stopped[dir]
		}
		if ok {
			c.apply(d.durable)
			continue
		}
		for _, dir := range c.dirs {
			stopped[dir] = true
		}
	}
	for _, path := range slices.Sorted(mapsKeys(d.durable)) { // parents come first
		if path != "." && d.durable[filepath.Dir(path)] == nil {
			delete(d.durable, path)
		}
	}
}

func mapsKeys(m map[string]*simNode) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// image is what of a file with content now the disk has.
func (n *simNode) image(now []byte, rnd *rand.Rand, keep float64) []byte {
	size := len(n.synced)
	if rnd.Float64() < keep {
		size = len(now)
	}
	out := make([]byte, size)
	copy(out, n.synced)
	for off := 0; off < min(size, len(now)); off += simSector {
		end := min(off+simSector, size, len(now))
		if string(out[off:end]) != string(now[off:end]) && rnd.Float64() < keep {
			copy(out[off:end], now[off:end])
		}
	}
	return out
}

// rewrite makes the directory hold exactly these files and the directories that
// are durable. All of it is durable then.
func (d *simDisk) rewrite(t require.TestingT, files map[string][]byte) {
	entries, err := os.ReadDir(d.root)
	require.NoError(t, err)
	for _, e := range entries {
		require.NoError(t, os.RemoveAll(filepath.Join(d.root, e.Name())))
	}
	names, inodes := map[string]*simNode{}, map[uint64]*simNode{}
	for _, path := range slices.Sorted(mapsKeys(d.durable)) {
		n := &simNode{dir: d.durable[path].dir}
		names[path] = n
		full := filepath.Join(d.root, path)
		if n.dir {
			require.NoError(t, os.MkdirAll(full, 0o755))
			continue
		}
		n.synced = files[path]
		require.NoError(t, os.WriteFile(full, n.synced, 0o644))
		inodes[d.inode(path)] = n
	}
	d.names, d.inodes, d.pending = names, inodes, nil
	d.durable = make(map[string]*simNode, len(names))
	for path, n := range names {
		d.durable[path] = n
	}
}

// simDir makes the directory of a simulated store, in memory if possible.
func simDir(t interface {
	require.TestingT
	Cleanup(func())
},
) string {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = os.TempDir()
	}
	dir, err := os.MkdirTemp(parent, "duelog-sim")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// A file is durable in name and content after its sync and that of its directory,
// and may be anything in between before; the test of the tests.
func TestSimulatedDiskLosesOnlyWhatWasNotSynced(t *testing.T) {
	for seed := range uint64(50) {
		dir := simDir(t)
		d := newSimDisk(dir, rand.New(rand.NewPCG(seed, 0)))
		require.NoError(t, durable.MakeDir(filepath.Join(dir, "a")))
		f, err := durable.Create(filepath.Join(dir, "a", "f"))
		require.NoError(t, err)
		_, err = durable.WriteAt(f, []byte("one"), 0)
		require.NoError(t, err)
		require.NoError(t, durable.Datasync(f))
		require.NoError(t, durable.SyncDir(filepath.Join(dir, "a")))
		_, err = durable.WriteAt(f, []byte("two"), 0)
		require.NoError(t, err)
		require.NoError(t, durable.Rename(filepath.Join(dir, "a", "f"), filepath.Join(dir, "g")))
		require.NoError(t, f.Close())
		d.setFuse(0)
		require.ErrorIs(t, durable.Remove(filepath.Join(dir, "g")), errPowerOff)
		d.lose(t)
		d.stop()
		one, err1 := os.ReadFile(filepath.Join(dir, "a", "f"))
		two, err2 := os.ReadFile(filepath.Join(dir, "g"))
		require.True(t, (err1 == nil) != (err2 == nil), "renamed or not, but never lost nor doubled")
		require.Contains(t, []string{"one", "two"}, string(one)+string(two))
	}
}
