package cold

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

func TestWhatWasAppendedIsReadBackAlsoAfterReopening(t *testing.T) {
	for name, body := range map[string]func(r *rand.Rand, i int) []byte{
		"json":   func(r *rand.Rand, i int) []byte { return jsonBody(r, 200+i%2000) },
		"random": func(r *rand.Rand, i int) []byte { return randomBody(r, i%3000) },
		"empty":  func(*rand.Rand, int) []byte { return nil },
		"long":   func(r *rand.Rand, i int) []byte { return jsonBody(r, 10+i%7*20_000) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openSet(t, dir)
			recs := records(500, body)
			info := write(t, s, testBase, recs)
			require.EqualValues(t, 500, info.Records)
			require.Equal(t, recs[0].When, info.MinFireMs)
			require.Equal(t, recs[499].When, info.MaxFireMs)
			requireReadable(t, s, recs)
			require.NoError(t, s.Close())
			requireReadable(t, openSet(t, dir, info), recs)
		})
	}
}

func TestRecordsComeBackInFireOrderWithTheirLocations(t *testing.T) {
	s := openSet(t, t.TempDir())
	recs := jsonRecords(300)
	write(t, s, testBase, recs)
	i := 0
	for it, err := range s.Records(testBase) {
		require.NoError(t, err)
		want := commitlog.Item{
			Loc: commitlog.MakeLoc(testLane, recs[i].off), When: recs[i].When, Flags: recs[i].Flags,
			Size: int32(len(recs[i].Payload)), Queue: recs[i].Queue, Tag: recs[i].Tag, Key: recs[i].Key,
		}
		require.Equal(t, want, it)
		i++
	}
	require.Equal(t, 300, i)
}

func TestCompressibleBodiesTakeLessAndOthersNoMore(t *testing.T) {
	s := openSet(t, t.TempDir())
	json := write(t, s, 0, records(2000, func(r *rand.Rand, _ int) []byte { return jsonBody(r, 1024) }))
	require.Less(t, json.FileSize*3, json.Size)
	random := write(t, s, testBase, records(2000, func(r *rand.Rand, _ int) []byte { return randomBody(r, 1024) }))
	require.Less(t, random.FileSize, random.Size+random.Size/100)
}

func TestNothingIsFoundOutsideOfTheFiles(t *testing.T) {
	s := openSet(t, t.TempDir())
	info := write(t, s, testBase, jsonRecords(50))
	for _, off := range []int64{-1, 0, testBase - 1, testBase + info.Size, testBase + testSegment, 1 << 55} {
		_, err := s.View(off, 1)
		require.ErrorIs(t, err, commitlog.ErrNotFound, "offset %d", off)
	}
	_, err := s.View(testBase, 1<<20)
	require.ErrorIs(t, err, commitlog.ErrRange)
	_, err = s.View(testBase, -1)
	require.ErrorIs(t, err, commitlog.ErrRange)
	require.NoError(t, s.Close())
	_, err = s.View(testBase, 1)
	require.ErrorIs(t, err, commitlog.ErrClosed)
}

func TestWriterRefusesMoreThanASegmentHolds(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, nil, Options{Lane: testLane, SegmentSize: 4096})
	require.NoError(t, err)
	defer s.Close()
	w, err := s.Create(0, 0)
	require.NoError(t, err)
	_, err = w.Append(&commitlog.Record{Flags: commitlog.FlagScheduled, Payload: make([]byte, 4073)})
	require.ErrorIs(t, err, commitlog.ErrTooLarge)
	require.NoError(t, w.Abort())
	require.Empty(t, fileNames(t, dir))
}

func TestFileWithoutRecordsIsNone(t *testing.T) {
	dir := t.TempDir()
	w, err := openSet(t, dir).Create(testBase, 0)
	require.NoError(t, err)
	info, err := w.Finish()
	require.NoError(t, err)
	require.Equal(t, Info{Base: testBase}, info)
	require.Empty(t, fileNames(t, dir))
}

func TestOpenDeletesWhatIsNotRegistered(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	recs := jsonRecords(20)
	info := write(t, s, testBase, recs)
	write(t, s, 0, jsonRecords(20))
	_, err := s.Create(testBase, 0) // a crash in the middle of a second attempt
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644))
	s = openSet(t, dir, info)
	requireReadable(t, s, recs)
	require.Equal(t, []string{fileName(testBase), "notes.txt"}, fileNames(t, dir))
}

func TestManyReadersOfOneBlockCostOneRead(t *testing.T) {
	c := newCache(1 << 20)
	var reads atomic.Int64
	var wg sync.WaitGroup
	release := make(chan struct{})
	for range 60 {
		wg.Go(func() {
			b, err := c.get(blockKey{1, 2}, func() ([]byte, error) {
				reads.Add(1)
				<-release
				return []byte("block"), nil
			})
			if err != nil || string(b) != "block" {
				panic("wrong block")
			}
		})
	}
	close(release)
	wg.Wait()
	require.EqualValues(t, 1, reads.Load())
}

func TestCacheIsBoundedAndDropsTheLeastRecentlyUsed(t *testing.T) {
	c := newCache(100)
	reads := map[int]int{}
	get := func(i, size int) {
		_, err := c.get(blockKey{0, i}, func() ([]byte, error) {
			reads[i]++
			return make([]byte, size), nil
		})
		require.NoError(t, err)
		require.LessOrEqual(t, c.used, c.max)
	}
	get(1, 40)
	get(2, 40)
	get(1, 40)
	get(3, 40) // 2 goes
	get(1, 40)
	get(2, 40)
	get(4, 1000) // never kept
	get(2, 40)
	require.Equal(t, map[int]int{1: 1, 2: 2, 3: 1, 4: 1}, reads)
}

func TestReadErrorsAreNotKept(t *testing.T) {
	c := newCache(100)
	for range 2 {
		_, err := c.get(blockKey{}, func() ([]byte, error) { return nil, ErrChecksum })
		require.ErrorIs(t, err, ErrChecksum)
	}
	b, err := c.get(blockKey{}, func() ([]byte, error) { return []byte{1}, nil })
	require.NoError(t, err)
	require.Len(t, b, 1)
}
