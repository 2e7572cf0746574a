package store

// Classes of files in Stats.StoredBytes.
const (
	BytesLog = iota
	BytesIndex
	BytesJournal
	BytesQueue
	BytesKeys
	BytesCold
	bytesClassCount
)

var bytesClasses = [bytesClassCount]string{"log", "index", "journal", "queue", "keys", "cold"}

// Stats is a snapshot of what the store holds and how it keeps up.
type Stats struct {
	Pending     int64 // scheduled and not yet fired
	Overdue     int64 // of these, in memory and due
	BehindMs    int64 // how far firing is behind the wall clock; 0 when it keeps up
	BacklogMs   int64 // for how long something due has been left over; 0 without a backlog
	HeavyTopics int64 // topics that fire behind the others in the backlog
	NearEntries int64 // index entries in the near wheel
	Cancelled   int64 // cancelled since the store was opened
	KeyEntries  int64 // entries of the key index, those of messages that are gone included
	KeyRuns     int64 // its files
	DiskFull    bool  // new messages are refused for want of space
	DiskLevel   DiskLevel
	DiskFree    int64 // bytes left on the file system
	Failed      bool

	// StoredBytes are bytes in use by class: BytesLog, BytesIndex, ...
	StoredBytes [bytesClassCount]int64

	// PayloadBytes were accepted, WrittenBytes written, by class, since the store was opened.
	PayloadBytes int64
	WrittenBytes [bytesClassCount]int64
}

// WriteAmplification is bytes written to all files per byte of payload, since
// the store was opened; 0 before the first message.
func (st *Stats) WriteAmplification() float64 {
	if st.PayloadBytes == 0 {
		return 0
	}
	total := int64(0)
	for _, n := range st.WrittenBytes {
		total += n
	}
	return float64(total) / float64(st.PayloadBytes)
}

// ClassName is the name of a class of files in Stats, as metrics have it.
func ClassName(class int) string { return bytesClasses[class] }

// Stats returns figures that are each true at some moment of the call.
func (s *Store) Stats() Stats {
	st := Stats{
		Pending:   s.Pending(),
		Overdue:   s.overdue.Load(),
		Cancelled: s.cancels.total.Load(),
		DiskLevel: DiskLevel(s.disk.level.Load()),
		DiskFree:  s.disk.free.Load(),
		Failed:    s.failure.Load() != nil,
	}
	st.DiskFull = s.diskFull.Load() || st.DiskLevel == DiskRefuses
	// A mark is published at least every maxWait while firing keeps up.
	if behind := s.NowMs() - s.mark().firedMs; behind > 2*maxWait.Milliseconds() {
		st.BehindMs = behind
	}
	if since := s.backlogSince.Load(); since != 0 {
		st.BacklogMs = max(s.NowMs()-since, 0)
	}
	st.HeavyTopics = s.heavyTopics.Load()
	s.near.mu.Lock()
	st.NearEntries = int64(s.near.count)
	s.near.mu.Unlock()
	st.PayloadBytes = s.payloadBytes.Load()
	for i := range st.WrittenBytes {
		st.WrittenBytes[i] = s.written[i].Load()
	}
	s.addBytes(&st)
	return st
}

func (s *Store) addBytes(st *Stats) {
	for _, l := range s.lanes {
		for _, info := range l.log.Segments() {
			st.StoredBytes[BytesLog] += info.End - info.Base
		}
		s.catalog.view(func(c *catalogState) { st.StoredBytes[BytesLog] -= c.givenBytes(l.id) })
		st.StoredBytes[BytesIndex] += l.index.FileBytes()
	}
	s.addKeyStats(st)
	st.StoredBytes[BytesIndex] += s.cold.index.FileBytes()
	st.StoredBytes[BytesCold] = s.cold.files.Usage().Bytes
	for _, info := range s.journalLog.Segments() {
		st.StoredBytes[BytesJournal] += info.End - info.Base
	}
	for _, info := range s.cancelLog.Segments() {
		st.StoredBytes[BytesLog] += info.End - info.Base
	}
	for _, q := range s.registry.all() {
		st.StoredBytes[BytesQueue] += (q.cq.Next() - q.cq.Min()) * 32
	}
}
