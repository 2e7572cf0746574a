package tools

import (
	"fmt"
	"sync"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// segmentFigures are those of what was seen of one segment.
type segmentFigures struct {
	records int64
	maxFire int64
}

// segmentSums adds up what several tiles saw of one segment.
type segmentSums struct {
	mu sync.Mutex
	segmentFigures
	holes bool
}

// record adds a record.
func (s *segmentFigures) record(it *commitlog.Item) {
	s.records++
	if it.Scheduled() {
		s.maxFire = max(s.maxFire, it.When)
	}
}

// merge adds what one tile saw.
func (s *segmentSums) merge(o segmentFigures) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records += o.records
	s.maxFire = max(s.maxFire, o.maxFire)
}

func (s *segmentSums) damage() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holes = true
}

// figures compares what the MANIFEST says about segments with what they hold, and
// looks for those that are past their retention.
func (l *laneCheck) figures() {
	for base, s := range l.segs {
		if !s.registered || s.sums.holes || !s.info.Sealed || !l.c.hasSegment(l.lane, base) || l.c.gaveBack(l.lane, base, s.info.End) {
			continue
		}
		if s.sums.records != s.info.Records || s.sums.maxFire > s.info.MaxFireMs && !l.c.cut(l.lane, base) {
			l.c.find(finding{
				severity: severityDamaged, check: "segment", file: segmentPath(l.lane, base),
				what: fmt.Sprintf("holds %d records due up to %s, the MANIFEST says %d up to %s", s.sums.records, humanText(ms(s.sums.maxFire)),
					s.info.Records, humanText(ms(s.info.MaxFireMs))),
				lost: "nothing yet: it may be recycled too early", next: l.c.repairHint(),
			})
		}
		l.expired(base, &s.info)
	}
}

// cut tells whether the last messages of a segment have moved to a cold file. The
// segment has them as well, and need not live as long as they.
func (c *check) cut(lane uint8, base int64) bool {
	return c.moved(&delayindex.Entry{When: delayindex.MakeWhen(delayindex.MaxFireMs, 0), Loc: uint64(commitlog.MakeLoc(lane, base))})
}

// retentionSlack is how long after its time a segment may still be there: the
// keeper frees segments one after the other.
const retentionSlack = time.Hour

func (l *laneCheck) expired(base int64, info *commitlog.SegmentInfo) {
	dies := info.MaxFireMs + l.c.scheduledRetention.Milliseconds()
	if info.MaxStoreMs > 0 {
		dies = max(dies, info.MaxStoreMs+l.c.retention.Milliseconds())
	}
	if over := l.c.e.now().UnixMilli() - dies; over > retentionSlack.Milliseconds() {
		l.c.find(finding{
			severity: severityNotice, check: "retention", file: segmentPath(l.lane, base),
			what: fmt.Sprintf("all in it is past its retention since %s", humanText(ms(dies))),
			next: "nothing in a copy or a stopped store; a running broker frees it: look at its log for errors",
		})
	}
}
