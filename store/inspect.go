package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/keyindex"
)

// Names of what is in the directory of a store, for programs that look into it
// without opening it.
const (
	ManifestName    = manifestName
	LogDir          = logDir
	IndexDir        = indexDir
	KeysDir         = keysDir
	SpareDir        = poolDir
	JournalDir      = journalDir
	ConsumeQueueDir = queueDir
	CancelDir       = cancelDir
	CancelLane      = cancelLane
	JournalLane     = journalLane
	FarLane         = farLane
	ColdLane        = coldLane
)

// Manifest is what the MANIFEST of a store says at one moment.
type Manifest struct {
	Path    string
	Size    int64  // bytes of complete appends
	Torn    int64  // bytes behind them: an append under way, or cut by a crash
	Appends uint64 // number of the last complete append
	Records int

	Segments    map[uint8][]commitlog.SegmentInfo // by lane, ascending; JournalLane is the journal
	GivenBack   map[uint8][]commitlog.Range       // by lane, ascending: holes in segments
	Cold        []cold.Info                       // files of ColdLane, ascending
	Cuts        []SegmentCut                      // segments of FarLane of which a part has moved to a cold file
	Runs        map[uint8][]delayindex.RunInfo    // by lane, ascending
	IndexedUpTo map[uint8]int64                   // lane offset before which every entry is in a run or done
	KeyRuns     map[uint8][]keyindex.RunInfo      // of the key index, by lane, ascending; see KeysUpTo
	KeysUpTo    map[uint8]int64                   // lane offset before which all keys are in runs; only lanes with a key index
	Queues      []ManifestQueue                   // by id
	NextQueue   uint32                            // id of the next queue

	FiredMs       int64   // F of the mark: entries up to it, below Absorbed, are done (I2)
	Absorbed      []int64 // A of the mark, by lane
	ReplayJournal int64   // J: the queues' files have all that the journal before it fired
	ReplayLane0   int64   // C: and all of lane 0 before it

	mark mark // all of it
}

// SegmentCut says that the messages of the segment [Base, End) of FarLane that fire at
// FireMs or later live in the cold file with that base.
type SegmentCut struct{ Base, End, FireMs int64 }

// ManifestQueue is a queue as the MANIFEST knows it: its number in records,
// entries and the journal, and the slots that its files held at the checkpoint.
type ManifestQueue struct {
	ID        uint32
	Topic     string
	Num       int32
	Min, Next int64
}

// Done reports whether the mark covers an index entry: it has fired.
func (m *Manifest) Done(fireMs int64, loc commitlog.Loc) bool {
	lane := int(loc.Lane())
	return fireMs <= m.FiredMs && lane < len(m.Absorbed) && loc.Offset() < m.Absorbed[lane]
}

// Covers is Done with all that the mark says: while topics with a backlog fire behind
// the others these are further than FiredMs.
func (m *Manifest) Covers(e *delayindex.Entry) bool {
	lane := commitlog.Loc(e.Loc).Lane()
	return (lane < laneCount || lane == coldLane) && m.mark.done(e)
}

// Reached is the latest fire time of which the mark says anything: no entry that fires
// later is covered.
func (m *Manifest) Reached() int64 { return m.mark.reached() }

// Moved reports whether the message that lies at loc in a segment, and fires at
// fireMs, lives in a cold file: neither the index nor anybody else means that place.
func (m *Manifest) Moved(fireMs int64, loc commitlog.Loc) bool {
	if loc.Lane() != farLane {
		return false
	}
	for _, c := range m.Cuts {
		if off := loc.Offset(); c.Base <= off && off < c.End {
			return fireMs >= c.FireMs
		}
	}
	return false
}

// MovedFrom is the fire time from which on the messages of the segment of FarLane at
// base have moved to a cold file, and false if none have.
func (m *Manifest) MovedFrom(base int64) (fireMs int64, ok bool) {
	for _, c := range m.Cuts {
		if c.Base == base {
			return c.FireMs, true
		}
	}
	return 0, false
}

// Behind is how many queues are behind the others, because their topics have a backlog.
func (m *Manifest) Behind() int { return len(m.mark.since) }

// ReadManifest reads the MANIFEST of the store in dir, which another process
// may have open: the file is read at once and taken as of that moment. It locks
// and changes nothing. A missing one is fs.ErrNotExist, damage a
// *commitlog.CorruptionError, one of a newer program commitlog.ErrVersion.
func ReadManifest(dir string) (*Manifest, error) {
	m, err := ReadManifestHead(dir)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// ReadManifestHead is ReadManifest that of a damaged MANIFEST also returns, beside the
// *commitlog.CorruptionError, what it said before the damage: an earlier state of the
// store, of which nothing may be true any more. Torn is then what follows. With every
// other error m is nil.
func ReadManifestHead(dir string) (m *Manifest, err error) {
	path := manifestPath(dir)
	b, scan, err := readManifest(path)
	var damaged *commitlog.CorruptionError
	if err != nil && !errors.As(err, &damaged) {
		return nil, err
	}
	st := newCatalogState()
	for i, rec := range scan.payloads {
		if err := edit(rec).apply(st); err != nil {
			return nil, fmt.Errorf("read %s: record %d: %w", path, i, err)
		}
	}
	m = st.export()
	m.Path, m.Size, m.Torn = path, scan.end, int64(len(b))-scan.end
	m.Appends, m.Records = scan.last, len(scan.payloads)
	return m, err
}

func manifestPath(dir string) string { return filepath.Join(dir, manifestName) }

// readManifest reads again what looks damaged while it changes: the store may write
// the end, and then the header that vouches for it, while the file is read.
func readManifest(path string) (b []byte, scan manifestScan, err error) {
	for {
		before := b
		if b, err = os.ReadFile(path); err != nil {
			return nil, manifestScan{}, fmt.Errorf("read manifest: %w", err)
		}
		scan, err = scanManifest(path, b)
		if err == nil || bytes.Equal(before, b) {
			return b, scan, err
		}
	}
}

// export is st in its public form.
func (st *catalogState) export() *Manifest {
	m := &Manifest{
		Segments: map[uint8][]commitlog.SegmentInfo{}, KeyRuns: map[uint8][]keyindex.RunInfo{}, KeysUpTo: map[uint8]int64{}, GivenBack: map[uint8][]commitlog.Range{}, Cold: st.coldFiles(), Runs: st.runs, IndexedUpTo: st.indexed, NextQueue: st.nextQueue,
		FiredMs: st.mark.firedMs, Absorbed: st.mark.absorbed[:],
		ReplayJournal: st.replay.journal, ReplayLane0: st.replay.lane0,
		mark: st.mark,
	}
	for lane := range st.segments {
		m.Segments[lane] = st.laneSegments(lane)
		for _, s := range m.Segments[lane] {
			m.GivenBack[lane] = append(m.GivenBack[lane], st.given[lane][s.Base]...)
		}
	}
	for lane, k := range st.keys {
		m.KeyRuns[lane], m.KeysUpTo[lane] = k.runs, max(k.upTo, 0)
	}
	for base, c := range st.cuts {
		m.Cuts = append(m.Cuts, SegmentCut{Base: base, End: c.end, FireMs: c.ms})
	}
	slices.SortFunc(m.Cuts, func(a, b SegmentCut) int { return cmp.Compare(a.Base, b.Base) })
	for id, q := range st.queues {
		m.Queues = append(m.Queues, ManifestQueue{ID: id, Topic: q.key.topic, Num: q.key.num, Min: q.min, Next: q.next})
	}
	slices.SortFunc(m.Queues, func(a, b ManifestQueue) int { return cmp.Compare(a.ID, b.ID) })
	return m
}

// Firing is one entry of the fire journal: the message at Loc got Slot in Queue.
type Firing struct {
	At        int // where it begins in the payload of its frame; EachFiring sets it
	Loc       commitlog.Loc
	Slot      int64
	Queue     uint32 // id of the queue
	Size, Tag uint32 // of the record
	FiredMs   int64  // wall clock of the batch
}

// EachFiring calls visit for each entry of a journal frame until it returns an
// error. A frame that is no batch of firings is an error too.
func EachFiring(f *commitlog.Frame, visit func(Firing) error) error {
	return eachFiring(f, func(at int, x firing) error {
		return visit(Firing{At: at, Loc: x.loc, Slot: x.slot, Queue: x.queue, Size: x.size, Tag: x.tag, FiredMs: f.StoreMs})
	})
}

// WriteManifest makes the MANIFEST of a store that is written anew: files, queues
// and checkpoint of m, whose other fields do not matter. It is durable when it
// returns. dir must not have one.
func WriteManifest(dir string, m *Manifest) error {
	path := manifestPath(dir)
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("write %s: %w", path, os.ErrExist)
	}
	w, err := writeManifest(path+".tmp", m.state().snapshot())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := w.close(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := durable.Rename(path+".tmp", path); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return durable.SyncDir(dir)
}

// state is the opposite of export.
func (m *Manifest) state() *catalogState {
	st := newCatalogState()
	for lane, segs := range m.Segments {
		for _, s := range segs {
			st.putSegment(lane, s)
			for _, r := range m.GivenBack[lane] {
				if r.From >= s.Base && r.From < s.End {
					st.putGiven(lane, s.Base, r)
				}
			}
		}
	}
	for _, info := range m.Cold {
		st.cold[info.Base] = info
	}
	for _, c := range m.Cuts {
		st.putCut(c.Base, segmentCut{end: c.End, ms: c.FireMs})
	}
	for lane, runs := range m.Runs {
		for _, r := range runs {
			st.putRun(lane, r)
		}
	}
	for lane, upTo := range m.IndexedUpTo {
		st.indexed[lane] = upTo
	}
	for lane, upTo := range m.KeysUpTo {
		st.setKeysUpTo(lane, upTo)
		for _, r := range m.KeyRuns[lane] {
			st.putKeyRun(lane, r)
		}
	}
	for _, q := range m.Queues {
		st.queues[q.ID] = queueState{key: queueKey{q.Topic, q.Num}, min: q.Min, next: q.Next}
		st.nextQueue = max(st.nextQueue, q.ID+1)
	}
	st.nextQueue = max(st.nextQueue, m.NextQueue)
	st.mark.firedMs = m.FiredMs
	copy(st.mark.absorbed[:], m.Absorbed)
	st.replay = replayPoint{journal: m.ReplayJournal, lane0: m.ReplayLane0}
	return st
}

// AppendFirings appends the payload of a journal frame, whose store time is FiredMs.
func AppendFirings(dst []byte, fs []Firing) []byte {
	batch := make([]firing, len(fs))
	for i, f := range fs {
		batch[i] = firing{loc: f.Loc, slot: f.Slot, queue: f.Queue, size: f.Size, tag: f.Tag}
	}
	return appendFirings(dst, batch)
}

// ParseCancel reads the payload of a record of the cancel log: the message at loc was
// cancelled or, if revoked, was not after all.
func ParseCancel(payload []byte) (loc commitlog.Loc, isRevoked bool, err error) {
	loc, kind, err := parseCancelPayload(payload)
	return loc, kind == revoked, err
}

// EachCancel calls visit for each record of a frame of the cancel log, until it
// returns an error: the message at loc was cancelled or, if revoked, was not after
// all. The last word about a location counts.
func EachCancel(f *commitlog.Frame, visit func(loc commitlog.Loc, revoked bool) error) error {
	for _, payload := range f.Items() {
		loc, revoked, err := ParseCancel(payload)
		if err == nil {
			err = visit(loc, revoked)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
