package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// How a store is repaired, and why so.
//
// The copy has every intact frame at the location that it had. A location stands in
// offset message ids, in queues and in the journal; so what refers to a message
// still does. What cannot be read is replaced by frames without records, of the same
// length: the lanes of the copy have no damage in them. (repair_lane.go)
//
// Everything else is made anew from the records, and from what tells that they
// fired: the mark of the MANIFEST, the journal and the files of the queues.
//
//   - A record that is due later goes into a new delay index, written by package
//     delayindex, run by run: memory is bounded by one memtable per lane.
//   - A record that was visible gets the slot that it had: an ordinary one says its
//     slot itself, of a fired one journal or queue say it. So consumer offsets stay
//     valid. One that fired, but whose slot cannot be read any more, takes the slot that
//     is its own by the order of firing. (repair_inferred.go) Slots that stay
//     empty are void, and readers skip them. (repair_queue.go)
//   - The key index is left to the first start of the copy, which reads all messages
//     for it.
//   - The mark lies before everything that is pending, the replay point behind
//     everything that is not: the journal of the copy is empty.
//   - The MANIFEST is written last. A copy without one is not a store that opens, so
//     a repair that was interrupted cannot be mistaken for one that was not.
//
// If the MANIFEST is lost, the numbers of the queues are found out in one more pass
// over the lanes: they stand in each record beside the message, which names its
// topic and queue. Without its mark, or with a journal that cannot be read, what neither
// journal nor queue know has fired if the slots say so (repair_inferred.go). Else it has
// not, whenever it was due: a broker that was down for longer than its retention
// has not delivered it. So it may fire again, which is said: better twice than never.
type repair struct {
	*check // of the store that is repaired
	out    string
	// endLost says that the MANIFEST can be read but is not to be believed.
	endLost bool
	// markLost says that nothing tells up to when messages have fired.
	markLost   bool
	lostTables int
	// damagedRecalls counts what of the cancel log cannot be read.
	damagedRecalls int

	lost   *table
	lostMu sync.Mutex

	slots   *refSorter // what is visible, by slot; guarded by slotsMu
	slotsMu sync.Mutex

	made      store.Manifest // of the copy; lanes' parts guarded by madeMu
	madeMu    sync.Mutex
	minFireMs int64            // earliest of what is pending; guarded by madeMu
	recalled  []commitlog.Item // of the lanes, at most a million; guarded by madeMu

	inferred int64 // messages that must have fired, by the slots of their queues

	kept, salvaged, lostRecords, lostBytes, waiting, again, visibleCount atomic.Int64
}

func repairCommand(e *env) *cobra.Command {
	r := &repair{check: &check{e: e, salvage: true}}
	cmd := &cobra.Command{
		Use:   "repair STORE --out COPY",
		Short: "Write a good copy of a damaged store",
		Long: `Write a copy of a store in which everything is whole: every intact record of the original
at the location that it had, and index, queues and MANIFEST made anew from them. The key
index is made by the first start of the copy, which reads all messages once. The original is
not changed. Stop its broker first.

Consumer offsets stay valid: every message keeps its slot. What is lost is printed, one
row per message, by key and time, as far as index and queues knew of it.

This verb writes: COPY, which must not exist or be empty. It needs as much space as the
messages of the original, and temporary space as verify does. When it ends with exit code
0 or 1 the copy is complete; point the broker's setting data at it.`,
		Example: `  duelogctl repair ./data --out ./data-repaired
  duelogctl verify ./data-repaired`,
		Args: arguments("STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.out == "" {
				return hint(usagef("repair: --out is missing"), "give a directory for the copy: duelogctl repair %s --out COPY", args[0])
			}
			r.dir = args[0]
			return finished(cmd.Context(), r.run(cmd.Context()))
		},
	}
	cmd.Flags().StringVar(&r.out, "out", "", "`directory` for the copy")
	return cmd
}

func (r *repair) run(ctx context.Context) error {
	if err := r.checkSource(); err != nil {
		return err
	}
	if err := r.checkOut(); err != nil {
		return err
	}
	r.progress = r.e.progress("repair")
	defer r.progress.stop()
	r.lost = r.e.table("kind", "queue", "slot", "time", "key", "key_hash", "loc", "reason")
	err := r.attempt(ctx)
	if errors.Is(err, errEndLost) {
		r.endLost = true
		if err = r.startAnew(); err == nil {
			err = r.attempt(ctx)
		}
	}
	if err != nil {
		return r.outError(err)
	}
	if err := r.lost.close(); err != nil {
		return err
	}
	r.progress.stop()
	r.e.note("%d records copied, %d of them out of damaged frames; %d are pending, %d visible. %d messages are lost, %s of the log cannot be read.",
		r.kept.Load(), r.salvaged.Load(), r.waiting.Load(), r.visibleCount.Load(), r.lostRecords.Load(), humanText(byteCount(r.lostBytes.Load())))
	if r.inferred > 0 {
		r.e.note("%d messages are visible in the copy although nothing that can be read says that they fired: their queues gave slots that nobody else has, in front of what came later", r.inferred)
	}
	switch n := r.again.Load(); {
	case n > 0 && !r.inDoubt():
		r.e.note("the journal ends with a batch that is not whole, as a kill leaves one that nobody saw; if it is damage, of %d messages that were due some fire a second time when the broker starts", n)
	case n > 0:
		r.e.note("of %d messages that were due nobody knows whether they fired: they fire when the broker starts, some perhaps a second time", n)
	}
	if r.damagedRecalls > 0 {
		r.e.note("of the cancel log not all can be read: a message that was recalled in the rest is pending in the copy and fires")
	}
	r.e.note("next: duelogctl verify %s, then start the broker with data: %s", r.out, r.out)
	if r.lostRecords.Load() > 0 || r.lostBytes.Load() > 0 || r.lostTables > 0 || r.damagedRecalls > 0 {
		return errFindings
	}
	return nil
}

// attempt writes the copy by what the MANIFEST says, or without it.
func (r *repair) attempt(ctx context.Context) error {
	if err := r.catalog(ctx); err != nil {
		return err
	}
	r.slots = newRefSorter(r.out, bySlot)
	defer r.slots.close()
	return r.copy(ctx)
}

// startAnew empties what an attempt has written, and what it has counted.
func (r *repair) startAnew() error {
	for _, sub := range []string{store.LogDir, store.IndexDir, store.ConsumeQueueDir, store.CancelDir, configDir} {
		if err := os.RemoveAll(filepath.Join(r.out, sub)); err != nil {
			return fmt.Errorf("begin the copy anew: %w", err)
		}
	}
	r.inferred, r.journalLost, r.journalTorn = 0, false, false
	r.made, r.minFireMs, r.recalled, r.findings = store.Manifest{}, 0, nil, nil
	for _, n := range []*atomic.Int64{&r.read, &r.kept, &r.salvaged, &r.lostRecords, &r.lostBytes, &r.waiting, &r.again, &r.visibleCount} {
		n.Store(0)
	}
	return nil
}

// checkSource refuses a store that is in use: what is copied would not fit together.
func (r *repair) checkSource() error {
	if _, err := os.Stat(filepath.Join(r.dir, store.LogDir)); err != nil {
		return noStore(r.dir, err)
	}
	return hint(store.InUse(r.dir), "stop the broker; duelogctl verify %s can look at a store in use", r.dir)
}

func (r *repair) checkOut() error {
	if err := refuseWithin("repair", "--out", r.out, r.dir); err != nil {
		return err
	}
	names, err := os.ReadDir(r.out)
	if err == nil && len(names) > 0 {
		return usagef("repair: %s is not empty", r.out)
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return fmt.Errorf("make copy: %w", err)
	}
	return nil
}

// outError says what to do about a copy that is not complete.
func (r *repair) outError(err error) error {
	if nextStep(err) != "" {
		return err
	}
	return hint(err, "%s is not complete: delete it, and repair again when there is space and the disk is well", r.out)
}

// copy writes the copy.
func (r *repair) copy(ctx context.Context) error {
	lanes, err := listLanes(r.dir, r.m)
	if err != nil {
		return err
	}
	r.progress.start(r.totalBytes(lanes))
	if err := r.gather(ctx); err != nil {
		return err
	}
	defer func() { r.refs.close() }()
	if r.lacksSlots() {
		if err := r.inferFired(ctx); err != nil {
			return err
		}
	}
	r.made = store.Manifest{
		Segments: map[uint8][]commitlog.SegmentInfo{}, Runs: r.made.Runs, IndexedUpTo: map[uint8]int64{}, GivenBack: r.m.GivenBack,
		Absorbed: make([]int64, len(r.m.Absorbed)),
	}
	g, lanesCtx := errgroup.WithContext(ctx)
	for _, lane := range lanes {
		if isCold(lane) {
			g.Go(func() error { return r.copyCold(lanesCtx) })
		} else {
			g.Go(func() error { return r.copyLane(lanesCtx, lane) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.lostRecalls()
	if err := errors.Join(r.writeQueues(ctx), r.writeCancels(), r.copyConfig()); err != nil {
		return err
	}
	return r.writeManifest()
}

// writeManifest ends the copy.
func (r *repair) writeManifest() error {
	r.made.NextQueue = r.m.NextQueue
	for lane, upTo := range r.made.IndexedUpTo {
		if int(lane) < len(r.made.Absorbed) {
			r.made.Absorbed[lane] = upTo
		}
	}
	r.askForKeys()
	r.made.ReplayLane0 = r.made.IndexedUpTo[0]
	r.made.FiredMs = max(r.m.FiredMs, r.e.now().UnixMilli()) // this machine's clock may be behind
	if r.minFireMs > 0 {
		r.made.FiredMs = min(r.made.FiredMs, r.minFireMs-1)
	}
	return store.WriteManifest(r.out, &r.made)
}

// askForKeys lets the first start of the copy make a key index of all messages, if the
// original had one, or nobody knows.
func (r *repair) askForKeys() {
	if _, err := os.Stat(filepath.Join(r.dir, store.KeysDir)); err != nil {
		return
	}
	r.made.KeysUpTo = map[uint8]int64{}
	for lane, segments := range r.made.Segments {
		if len(segments) > 0 && lane != store.CancelLane {
			r.made.KeysUpTo[lane] = segments[0].Base
		}
	}
	if len(r.made.Cold) > 0 {
		r.made.KeysUpTo[store.ColdLane] = 0
	}
}
