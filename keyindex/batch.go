package keyindex

// Batch collects the entries of lane bytes that become visible at once, before they
// do. What takes time, their copy and the filters, is done while it is filled.
// A Batch belongs to one goroutine; after AddBatch it is the index's.
type Batch struct{ m *memtable }

// NewBatch returns an empty batch.
func NewBatch() *Batch { return &Batch{newMemtable(0)} }

// Add copies entries into the batch, in the order of their locations.
func (b *Batch) Add(es []Entry) { b.m.add(es, 0) }

// AddBatch is Add with the entries of b, which becomes a frozen memtable of its
// own: the call takes the same time however many there are.
func (x *Index) AddBatch(b *Batch, upTo int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return
	}
	x.freezeActive()
	b.m.start, b.m.end = x.active.start, max(x.active.start, upTo)
	x.active = b.m
	x.freezeActive()
}
