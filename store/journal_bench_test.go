package store

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

// BenchmarkJournal is what a firing pays for the journal, per message: encoding a
// batch and appending it as a frame, synced or not.
func BenchmarkJournal(b *testing.B) {
	for name, flush := range map[string]commitlog.FlushPolicy{"sync": commitlog.Sync, "async": commitlog.Async} {
		for _, batch := range []int{1, 64, 8192} {
			b.Run(fmt.Sprintf("%s/batch=%d", name, batch), func(b *testing.B) {
				s := mustOpen(b, b.TempDir(), &Options{Flush: flush, CheckpointBytes: 1 << 40})
				now := s.NowMs()
				var payload []byte
				fs := make([]firing, batch)
				for i := range fs {
					fs[i] = firing{loc: commitlog.Loc(i << 20), slot: int64(i), queue: 1, size: 1024, tag: 7 << 24}
				}
				b.SetBytes(int64(batch * fixedFiringSize))
				b.ReportAllocs()
				for b.Loop() {
					payload = appendFirings(payload[:0], fs)
					_, err := s.journalLog.AppendFrame(payload, batch, now)
					require.NoError(b, err)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(batch), "ns/message")
			})
		}
	}
}
