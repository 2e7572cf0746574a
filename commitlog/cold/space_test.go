package cold

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpaceIsWhatBlocksAreThereFor(t *testing.T) {
	s := openSet(t, t.TempDir())
	recs := randomRecords(2000)
	info := write(t, s, testBase, recs)
	const before = math.MinInt64
	require.Equal(t, Space{Waiting: info.FileSize}, s.SpaceAt(before, before))

	sp := s.SpaceAt(recs[499].When, recs[999].When)
	part := float64(info.FileSize) / 4
	require.InEpsilon(t, part, sp.Dead, 0.02)
	require.InEpsilon(t, part, sp.Fired, 0.02)
	require.InEpsilon(t, 2*part, sp.Waiting, 0.02)
	require.Equal(t, info.FileSize, sp.Total())

	give(t, s, recs[499].When)
	sp = s.SpaceAt(recs[499].When, recs[999].When)
	require.Equal(t, s.Usage().Bytes, sp.Total())
	require.LessOrEqual(t, sp.Dead, int64(2*pageSize), "the header, and what is left of a page")

	s.KeepFor(recs[600].off, recs[1999].When) // it fired late
	require.Zero(t, s.SpaceAt(recs[700].When, recs[999].When).Dead)
	require.Equal(t, Space{Dead: s.Usage().Bytes}, s.SpaceAt(info.MaxFireMs, info.MaxFireMs))
}

func TestSpaceOfAFileWithoutATableIsTakenToWait(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	recs := randomRecords(100)
	info := write(t, s, testBase, recs)
	s.files[testBase].blocks = nil
	require.Equal(t, Space{Waiting: info.FileSize}, s.SpaceAt(recs[50].When, recs[50].When))
}
