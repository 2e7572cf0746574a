package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

func TestPrefetchGoesInTheOrderOfTheDiskWithNeighboursJoined(t *testing.T) {
	var es []delayindex.Entry
	for _, x := range []struct {
		lane uint8
		off  int64
		size uint32
	}{{1, 900_000, 100}, {0, 5000, 100}, {1, 10_000, 1000}, {0, 99_000, 50}, {1, 11_024, 10}, {1, 80_000, 1000}, {1, 70_000, 20_000}} {
		es = append(es, delayindex.Entry{Loc: uint64(commitlog.MakeLoc(x.lane, x.off)), Size: x.size})
	}
	hotFrom := func(lane uint8) int64 { return map[uint8]int64{0: 90_000, 1: 1 << 40}[lane] }
	require.Equal(t, []bodyRange{{0, 5000, 5100}, {1, 10_000, 90_000}, {1, 900_000, 900_100}}, planPrefetch(es, 1<<20, hotFrom))
	require.Equal(t, []bodyRange{{0, 5000, 5100}, {1, 900_000, 900_100}}, planPrefetch(es, 1000, hotFrom), "the first entries that fit")
	require.Empty(t, planPrefetch(es, 1<<20, func(uint8) int64 { return 0 }))
}

func TestPrefetchOfTwoSecondsAtOnceHasOneBound(t *testing.T) {
	p := newPrefetcher(&Store{opts: Options{PrefetchBytes: 100}})
	ask := func(sec int64) {
		p.ask([]delayindex.Entry{{When: delayindex.MakeWhen(sec*1000, 0), Loc: uint64(commitlog.MakeLoc(99, 10))}})
	}
	ask(5)
	p.asked.Store(60)
	ask(4)
	ask(5)
	require.EqualValues(t, 40, p.left())
	ask(6)
	require.EqualValues(t, 100, p.left())
}
