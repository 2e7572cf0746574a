package commitlog

// prefetchStep is how much the kernel is asked for at once; of a longer range it
// would read only the beginning.
const prefetchStep = 128 << 10

// HotFrom is the offset from which on bytes are taken to be in memory because this
// process wrote them a short while ago.
func (l *Log) HotFrom() int64 { return max(l.hotFrom, l.Tail()-hotWindow) }

// Prefetch asks the kernel to read [from, to) of the lane into memory and does not
// wait until it has. It returns for how many bytes it asked: none for what is in
// memory already, is gone, or was never written. It is advice; View works without.
func (l *Log) Prefetch(from, to int64) (asked int64) {
	to = min(to, l.Tail())
	for from < to {
		n := min(to-from, prefetchStep, l.o.SegmentSize-from%l.o.SegmentSize)
		asked += l.prefetch(from, n)
		from += n
	}
	return asked
}

// prefetch is Prefetch within a segment.
func (l *Log) prefetch(from, n int64) (asked int64) {
	f := l.chain.Acquire(from)
	if f == nil {
		return 0
	}
	defer f.Release()
	at := from - f.Base()
	if f.Resident(at, int32(n)) || !f.WillNeed(at, n) {
		return 0
	}
	return n
}
