package tools

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"

	"github.com/duelog/duelog/commitlog"
)

// ref says that something refers to a record: a queue slot, a firing of the
// journal, or the record itself.
type ref struct {
	loc   commitlog.Loc
	slot  int64
	ms    int64 // when it fired, became visible, or is due
	queue uint32
	size  uint32
	tag   uint32
	kind  refKind
}

type refKind uint8

const (
	refQueue    refKind = iota + 1 // a slot in a file
	refJournal                     // a firing
	refRecord                      // a record that stands for itself
	refFired                       // a record that has fired; ms is when it was due
	refInferred                    // that the message must have fired, into which slot is not known
)

// refSize is the length of a ref in a temporary file.
const refSize = 40

func (r *ref) encode(b []byte) {
	le := binary.LittleEndian
	le.PutUint64(b, uint64(r.loc))
	le.PutUint64(b[8:], uint64(r.slot))
	le.PutUint64(b[16:], uint64(r.ms))
	le.PutUint32(b[24:], r.queue)
	le.PutUint32(b[28:], r.size)
	le.PutUint32(b[32:], r.tag)
	le.PutUint32(b[36:], uint32(r.kind))
}

func decodeRef(b []byte) ref {
	le := binary.LittleEndian
	return ref{
		loc: commitlog.Loc(le.Uint64(b)), slot: int64(le.Uint64(b[8:])), ms: int64(le.Uint64(b[16:])),
		queue: le.Uint32(b[24:]), size: le.Uint32(b[28:]), tag: le.Uint32(b[32:]), kind: refKind(le.Uint32(b[36:])),
	}
}

func byLoc(a, b *ref) int {
	return cmp.Or(cmp.Compare(a.loc, b.loc), cmp.Compare(a.kind, b.kind), cmp.Compare(a.slot, b.slot))
}

func bySlot(a, b *ref) int {
	return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.slot, b.slot), cmp.Compare(a.kind, b.kind), cmp.Compare(a.loc, b.loc))
}

// refSorter sorts any number of refs in bounded memory: what does not fit is
// sorted in pieces, written to unnamed temporary files, and merged when it is
// read. One goroutine.
type refSorter struct {
	dir     string // for temporary files; "" is the system's
	compare func(a, b *ref) int
	most    int // refs in memory
	buf     []ref
	pieces  []*os.File
}

// sorterRefs is how many refs a sorter keeps in memory: 48 MiB.
const sorterRefs = 1 << 20

func newRefSorter(dir string, compare func(a, b *ref) int) *refSorter {
	return &refSorter{dir: dir, compare: compare, most: sorterRefs}
}

func (s *refSorter) add(r ref) error {
	s.buf = append(s.buf, r)
	if len(s.buf) < s.most {
		return nil
	}
	return s.spill()
}

func (s *refSorter) sort() {
	slices.SortFunc(s.buf, func(a, b ref) int { return s.compare(&a, &b) })
}

// spill writes what is in memory as a sorted piece.
func (s *refSorter) spill() error {
	s.sort()
	f, err := tempFile(s.dir)
	if err != nil {
		return err
	}
	s.pieces = append(s.pieces, f)
	w := bufio.NewWriterSize(f, 1<<20)
	for i := range s.buf {
		writeRef(w, &s.buf[i])
	}
	s.buf = s.buf[:0]
	return spaceHint(w.Flush())
}

// tempFile makes a file that has no name, so that nothing is left of it however
// the process ends.
func tempFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "duelogctl-*")
	if err != nil {
		return nil, spaceHint(fmt.Errorf("make temporary file: %w", err))
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("make temporary file: %w", err), f.Close())
	}
	return f, nil
}

func spaceHint(err error) error {
	return hint(err, "set TMPDIR to a directory with more space: what does not fit into memory is sorted there")
}

func writeRef(w *bufio.Writer, r *ref) {
	var b [refSize]byte
	r.encode(b[:])
	_, _ = w.Write(b[:]) // the writer keeps its first error for Flush
}

// each visits all refs in order. The sorter takes no more after it.
func (s *refSorter) each(visit func(*ref) error) error {
	s.sort()
	m := &refMerge{compare: s.compare}
	m.sources = append(m.sources, &memSource{s.buf})
	for _, f := range s.pieces {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		m.sources = append(m.sources, &fileSource{r: bufio.NewReaderSize(f, 256<<10)})
	}
	return m.run(visit)
}

// close gives the temporary files up.
func (s *refSorter) close() {
	for _, f := range s.pieces {
		f.Close()
	}
	s.pieces, s.buf = nil, nil
}

// refSource yields sorted refs; io.EOF is the end.
type refSource interface{ next() (ref, error) }

type memSource struct{ refs []ref }

func (m *memSource) next() (ref, error) {
	if len(m.refs) == 0 {
		return ref{}, io.EOF
	}
	r := m.refs[0]
	m.refs = m.refs[1:]
	return r, nil
}

type fileSource struct{ r *bufio.Reader }

func (f *fileSource) next() (ref, error) {
	var b [refSize]byte
	if _, err := io.ReadFull(f.r, b[:]); err != nil {
		return ref{}, err
	}
	return decodeRef(b[:]), nil
}

// refMerge merges sorted sources.
type refMerge struct {
	compare func(a, b *ref) int
	sources []refSource
	heads   []refHead
}

type refHead struct {
	ref    ref
	source int
}

func (m *refMerge) Len() int           { return len(m.heads) }
func (m *refMerge) Less(i, j int) bool { return m.compare(&m.heads[i].ref, &m.heads[j].ref) < 0 }
func (m *refMerge) Swap(i, j int)      { m.heads[i], m.heads[j] = m.heads[j], m.heads[i] }
func (m *refMerge) Push(x any)         { m.heads = append(m.heads, x.(refHead)) }
func (m *refMerge) Pop() any {
	last := m.heads[len(m.heads)-1]
	m.heads = m.heads[:len(m.heads)-1]
	return last
}

func (m *refMerge) run(visit func(*ref) error) error {
	for i, s := range m.sources {
		r, err := s.next()
		if err == io.EOF {
			continue
		}
		if err != nil {
			return fmt.Errorf("read temporary file: %w", err)
		}
		heap.Push(m, refHead{r, i})
	}
	for len(m.heads) > 0 {
		if err := visit(&m.heads[0].ref); err != nil {
			return err
		}
		r, err := m.sources[m.heads[0].source].next()
		switch {
		case err == io.EOF:
			heap.Pop(m)
		case err != nil:
			return fmt.Errorf("read temporary file: %w", err)
		default:
			m.heads[0].ref = r
			heap.Fix(m, 0)
		}
	}
	return nil
}

// refTable is sorted refs that can be entered anywhere, by several goroutines: in
// memory if they fit, else in a temporary file.
type refTable struct {
	mem  []ref
	file *os.File
	n    int
}

// table turns what was added into a table sorted by location.
func (s *refSorter) table() (*refTable, error) {
	if len(s.pieces) == 0 {
		s.sort()
		return &refTable{mem: s.buf, n: len(s.buf)}, nil
	}
	defer s.close()
	f, err := tempFile(s.dir)
	if err != nil {
		return nil, err
	}
	t := &refTable{file: f}
	w := bufio.NewWriterSize(f, 1<<20)
	err = s.each(func(r *ref) error {
		writeRef(w, r)
		t.n++
		return nil
	})
	if err = errors.Join(err, spaceHint(w.Flush())); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return t, nil
}

func (t *refTable) close() {
	if t.file != nil {
		t.file.Close()
	}
}

// at reads ref i.
func (t *refTable) at(i int) (ref, error) {
	if t.file == nil {
		return t.mem[i], nil
	}
	var b [refSize]byte
	if _, err := t.file.ReadAt(b[:], int64(i)*refSize); err != nil {
		return ref{}, fmt.Errorf("read temporary file: %w", err)
	}
	return decodeRef(b[:]), nil
}

// from returns a cursor at the first ref at or after loc.
func (t *refTable) from(loc commitlog.Loc) (*refCursor, error) {
	var bad error
	i := sort.Search(t.n, func(i int) bool {
		r, err := t.at(i)
		bad = cmp.Or(bad, err)
		return r.loc >= loc
	})
	if bad != nil {
		return nil, bad
	}
	c := &refCursor{}
	if t.file == nil {
		c.source = &memSource{t.mem[i:]}
	} else {
		c.source = &fileSource{r: bufio.NewReaderSize(io.NewSectionReader(t.file, int64(i)*refSize, int64(t.n-i)*refSize), 256<<10)}
	}
	return c, c.advance()
}

// refCursor walks a table in order of location.
type refCursor struct {
	source refSource
	head   ref
	ended  bool
}

func (c *refCursor) advance() error {
	r, err := c.source.next()
	if err == io.EOF {
		c.ended = true
		return nil
	}
	c.head = r
	return err
}

// before hands out the refs below loc.
func (c *refCursor) before(loc commitlog.Loc, visit func(*ref)) error {
	for !c.ended && c.head.loc < loc {
		r := c.head
		visit(&r)
		if err := c.advance(); err != nil {
			return err
		}
	}
	return nil
}
