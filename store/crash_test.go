package store

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

// crashChildEnv makes the test binary the process that is killed: it opens the
// store in the directory that it names, puts messages as fast as it can and
// prints the name of each that was acknowledged.
const crashChildEnv = "DUELOG_STORE_CRASH_CHILD"

func crashOptions() *Options {
	return small(Options{MemtableEntries: 300, CheckpointEvery: 50 * time.Millisecond, FireBatch: 100, NearEntries: 1 << 20})
}

func crashChild() {
	dir, round, _ := strings.Cut(os.Getenv(crashChildEnv), "|")
	s, err := Open(dir, crashOptions())
	if err != nil {
		fmt.Println("error", err)
		return
	}
	q, err := s.Queue("crash", 0)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	out := make(chan string, 1<<16)
	go func() {
		w := bufio.NewWriter(os.Stdout)
		for line := range out {
			fmt.Fprintln(w, line)
			if len(out) == 0 {
				w.Flush()
			}
		}
	}()
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s-%d", round, i)
		fire := int64(0)
		if i%5 != 0 {
			fire = s.NowMs() + rand.Int64N(400)
		}
		m := Message{Queue: q, FireMs: fire, Payload: []byte(name)}
		if err := s.PutAsync(&m, &printer{name, out}, 0); err != nil {
			fmt.Println("error", err)
			return
		}
		if i%50 == 49 {
			time.Sleep(time.Millisecond)
		}
	}
}

type printer struct {
	name string
	out  chan string
}

func (p *printer) PutDone(_ uint64, _ Result, err error) {
	if err != nil {
		p.out <- "error " + err.Error()
		return
	}
	p.out <- p.name
}

// TestKillLosesNothingAcknowledgedAndFiresNothingTwice kills a writing process
// at random moments and opens its store again each time.
func TestKillLosesNothingAcknowledgedAndFiresNothingTwice(t *testing.T) {
	t.Parallel()
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	dir := testutil.FastDir(t)
	acked := map[string]bool{}
	for round := range rounds {
		for _, line := range runAndKill(t, dir, round, time.Duration(20+rand.IntN(400))*time.Millisecond) {
			require.False(t, strings.HasPrefix(line, "error"), line)
			acked[line] = true
		}
	}
	require.NotEmpty(t, acked)
	s := mustOpen(t, dir, crashOptions())
	q := s.LookupQueue("crash", 0)
	awaitDrained(t, s)
	seen := map[string]int{}
	for _, p := range payloads(t, s, q) {
		seen[p]++
	}
	for name := range acked {
		require.Equal(t, 1, seen[name], "message %s", name)
	}
	for name, n := range seen {
		require.Equal(t, 1, n, "unacknowledged message %s", name)
	}
	t.Logf("%d acknowledged, %d visible over %d kills", len(acked), len(seen), rounds)
}

// awaitDrained returns when nothing is pending; all fire times are near.
func awaitDrained(t *testing.T, s *Store) {
	t.Helper()
	awaitDrainedBut(t, s, 0)
}

// awaitDrainedBut leaves out the given number of messages that are due later.
func awaitDrainedBut(t *testing.T, s *Store, later int64) {
	t.Helper()
	q := mustQueue(t, s, "marker", 0)
	mustPut(t, s, q, s.NowMs()+600, "end")
	awaitMax(t, q, 1)
	require.Equal(t, later, s.Pending())
}

// runAndKill runs a child for d and returns the lines it printed whole.
func runAndKill(t *testing.T, dir string, round int, d time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", crashChildEnv, dir, round))
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	time.AfterFunc(d, func() { _ = cmd.Process.Kill() })
	data, err := io.ReadAll(pipe)
	require.NoError(t, err)
	_ = cmd.Wait()
	lines := strings.Split(string(data), "\n")
	return lines[:len(lines)-1] // what follows the last newline was cut off
}

// TestCopyTakenAtAnyMomentOpensWithAllThatWasAcknowledgedBefore opens images of
// a store in use: what a machine that stopped then would find.
func TestCopyTakenAtAnyMomentOpensWithAllThatWasAcknowledgedBefore(t *testing.T) {
	t.Parallel()
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, crashOptions())
	q := mustQueue(t, s, "crash", 0)
	n := 0
	for image := range 5 {
		for range 200 {
			fire := int64(0)
			if n%3 > 0 {
				fire = s.NowMs() + rand.Int64N(100)
			}
			mustPut(t, s, q, fire, fmt.Sprint(n))
			n++
		}
		copied := filepath.Join(testutil.FastDir(t), "image")
		s.catalog.view(func(*catalogState) { // no file is removed while the catalog stands still
			for _, part := range []string{manifestName, queueDir, indexDir, journalDir, logDir} {
				copyTree(t, filepath.Join(dir, part), filepath.Join(copied, part))
			}
		})
		got := openImage(t, copied)
		for i := range n {
			require.Equal(t, 1, got[fmt.Sprint(i)], "image %d, message %d", image, i)
		}
	}
}

func openImage(t *testing.T, dir string) map[string]int {
	t.Helper()
	s, err := Open(dir, crashOptions())
	require.NoError(t, err)
	awaitDrained(t, s)
	got := map[string]int{}
	for _, p := range payloads(t, s, s.LookupQueue("crash", 0)) {
		got[p]++
	}
	require.NoError(t, s.Close())
	return got
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	st, err := os.Stat(from)
	if os.IsNotExist(err) {
		return
	}
	require.NoError(t, err)
	if !st.IsDir() {
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		b, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, b, 0o644))
		return
	}
	names, err := os.ReadDir(from)
	require.NoError(t, err)
	for _, e := range names {
		copyTree(t, filepath.Join(from, e.Name()), filepath.Join(to, e.Name()))
	}
}

// TestJournalWithoutCheckpointKeepsFiredMessagesFromFiringAgain reopens a copy
// whose MANIFEST knows nothing of what was fired.
func TestJournalWithoutCheckpointKeepsFiredMessagesFromFiringAgain(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, small(Options{CheckpointEvery: time.Hour}))
	q := mustQueue(t, s, "crash", 0)
	for i := range 100 {
		mustPut(t, s, q, s.NowMs()+5, fmt.Sprint(i))
	}
	awaitMax(t, q, 100)
	before := deliveries(t, q)
	copied := filepath.Join(testutil.FastDir(t), "image")
	copyTree(t, dir, copied)
	require.NoError(t, os.Remove(filepath.Join(copied, lockName)))
	again := mustOpen(t, copied, small(Options{}))
	awaitDrained(t, again)
	require.Equal(t, before, deliveries(t, again.LookupQueue("crash", 0)))
}

// TestAsyncStoreReopensAfterClose: the other flush policy keeps the same files.
func TestAsyncStoreReopensAfterClose(t *testing.T) {
	dir := testutil.FastDir(t)
	o := small(Options{Flush: commitlog.Async})
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "orders", 0)
	for i := range 50 {
		_, err := s.Put(context.Background(), &Message{Queue: q, FireMs: s.NowMs() + int64(i%2)*20, Payload: []byte(fmt.Sprint(i))})
		require.NoError(t, err)
	}
	awaitMax(t, q, 50)
	require.NoError(t, s.Close())
	s = mustOpen(t, dir, o)
	require.Len(t, payloads(t, s, s.LookupQueue("orders", 0)), 50)
}

// TestCheckpointInTheMiddleOfAMillisecondFiresNothingTwice: the mark does not
// cover what was fired of a millisecond that is not done, so the journal must.
func TestCheckpointInTheMiddleOfAMillisecondFiresNothingTwice(t *testing.T) {
	dir := testutil.FastDir(t)
	o := small(Options{FireBatch: 7, CheckpointEvery: time.Hour})
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "crash", 0)
	due := s.NowMs() + 700
	const n = 400
	c := make(countdown, n)
	for i := range n {
		m := Message{Queue: q, FireMs: due, Payload: []byte(fmt.Sprint(i))}
		require.NoError(t, s.PutAsync(&m, c, 0))
	}
	c.wait(t, n)
	awaitMax(t, q, 7)
	require.NoError(t, s.Checkpoint(context.Background()))
	copied := filepath.Join(testutil.FastDir(t), "image")
	s.catalog.view(func(*catalogState) {
		for _, part := range []string{manifestName, queueDir, indexDir, journalDir, logDir} {
			copyTree(t, filepath.Join(dir, part), filepath.Join(copied, part))
		}
	})
	got := openImage(t, copied)
	require.Len(t, got, n)
	for name, times := range got {
		require.Equal(t, 1, times, "message %s", name)
	}
}
