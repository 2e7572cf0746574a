package tools

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// maxFound is how many messages find tells about.
const maxFound = 1000

func findCommand(e *env) *cobra.Command {
	var scan bool
	var topic string
	cmd := &cobra.Command{
		Use:   "find KEY|ID|LOC STORE",
		Short: "The life of a message, across all files of a store",
		Long: `Tell what became of a message: when and where it was stored, in which run of the delay
index it waits, whether it was cancelled, when it fired, and which slot of its queue it
has. The message is named by one of its KEYS, by its UNIQ_KEY (the message id that
clients show), by its offset message id (32 or 56 hex digits), or by its location
LANE:OFFSET.

A key is looked up in the key index, together with each topic of the store or with
--topic alone: some reads of 4 KiB, whatever the store's size. What the index does not have
in its files is scanned, which is said: what was stored last and is in the memory of
the broker only, what is older than the index, and what a damaged run of it had. That is
left out if the index leads to a message with this UNIQ_KEY. With --scan,
or without a key index, all of the log is read, several files at a time. The column
found_by says which way led to a message: index, scan, location, or recall for one that
was recalled and of which only that is left. Such a one is found by its UNIQ_KEY or its
location; by one of its KEYS while the key index leads to where it was: not with --scan,
and not for long once the messages around it have moved to a cold file.

The key index knows the first 64 words of KEYS, and a topic that was deleted only if
--topic names it. A message that has moved to a cold file has a new location. It only
reads, and may be run on a store in use. The exit code is 1 if there is no such message, or
if the frame around one that is found is "damaged": its checksum is wrong.`,
		Example: `  duelogctl find order-42 ./data
  duelogctl find 7F000001000078C90000000000003C6E ./data --topic orders --json
  duelogctl find 1:4056 ./data`,
		Args: arguments("KEY|ID|LOC", "STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f := &finder{e: e, dir: args[1], what: parseSought(args[0]), scan: scan}
			f.what.topic = topic
			return finished(cmd.Context(), f.run(cmd.Context()))
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "only messages of this `topic`")
	cmd.Flags().BoolVar(&scan, "scan", false, "read all of the log instead of the key index")
	return cmd
}

// sought is what find looks for: a location, a key, or what may be either.
type sought struct {
	text  string
	loc   commitlog.Loc
	byLoc bool
	key   string
	bytes []byte // of key
	topic string // "" is any
}

func parseSought(s string) sought {
	if lane, off, ok := strings.Cut(s, ":"); ok {
		l, err1 := strconv.ParseUint(lane, 10, 8)
		o, err2 := strconv.ParseInt(off, 10, 56)
		if err1 == nil && err2 == nil && o >= 0 {
			return sought{text: s, loc: commitlog.MakeLoc(uint8(l), o), byLoc: true}
		}
	}
	if _, off, err := message.ParseOffsetID(s); err == nil && off >= 0 {
		return sought{text: s, loc: commitlog.Loc(off), byLoc: true, key: s, bytes: []byte(s)}
	}
	return sought{text: s, key: s, bytes: []byte(s)}
}

// is tells whether a record is the one; m is scratch.
func (s *sought) is(loc commitlog.Loc, payload []byte, m *message.Message) bool {
	here := s.byLoc && loc == s.loc
	if here && s.topic == "" {
		return true
	}
	if !here && (s.key == "" || !bytes.Contains(payload, s.bytes)) {
		return false // most are not decoded
	}
	if message.Decode(payload, m) != nil || s.topic != "" && m.Topic != s.topic {
		return false
	}
	return here || s.key != "" && (message.Get(m.Properties, message.PropUniqKey) == s.key ||
		slices.Contains(strings.Fields(message.Get(m.Properties, message.PropKeys)), s.key))
}

// The ways that lead to a message, as find says them.
const (
	byIndex    = "index"
	byScan     = "scan"
	byLocation = "location"
	byRecall   = "recall"
)

// life is a message and what is known about it.
type life struct {
	item     commitlog.Item
	file     string
	offset   int64 // of the record in the file
	storedMs int64
	movedMs  int64  // when it was written to a cold file; 0 for all others
	id       string // UNIQ_KEY
	way      string
	damaged  bool // the checksum of its frame is wrong
	firings  []firingAt
	slots    []slotOf
}

// finder looks for messages. What is not said otherwise belongs to the goroutine of run.
type finder struct {
	e     *env
	dir   string
	m     *store.Manifest
	names queueNames
	what  sought
	scan  bool // --scan

	unread atomic.Int64 // bytes of the log that were scanned and hold no valid frame

	mu       sync.Mutex
	lives    map[commitlog.Loc]*life     // guarded by mu while files are scanned
	tooMany  bool                        // the same
	asked    bool                        // the key index was asked
	ledTo    map[commitlog.Loc]bool      // where the key index has the key, but no message with it can be read
	recalled map[commitlog.Loc]*recallAt // what the cancel log says
	gone     []*recallAt                 // recalled messages of which nothing else is left
}

// findAttempts is how often find begins anew because files of the key index were
// merged under it.
const findAttempts = 10

func (f *finder) run(ctx context.Context) (err error) {
	for range findAttempts {
		if err = f.look(ctx); !errors.Is(err, errMerged) {
			break
		}
	}
	if err != nil {
		if errors.Is(err, errMerged) {
			err = hint(err, "duelogctl find %s %s --scan", f.what.text, f.dir)
		}
		return err
	}
	if err := errors.Join(f.journal(ctx), f.queues(ctx), f.recalls(ctx)); err != nil {
		return err
	}
	if err := f.print(); err != nil {
		return err
	}
	if f.damaged() {
		f.e.note("next: duelogctl verify %s tells what is lost, duelogctl repair %s --out COPY keeps what is good", f.dir, f.dir)
		return errFindings
	}
	if len(f.lives)+len(f.gone) > 0 {
		return nil
	}
	f.e.note("no message %s in the store", f.what.text)
	if n := f.unread.Load(); n > 0 {
		f.e.note("%s of what was scanned hold no valid frame, and a message there is not found; next: duelogctl verify %s", humanText(byteCount(n)), f.dir)
	}
	if f.asked {
		f.e.note("the key index was asked for the topics that there are: one that was deleted takes --topic, and --scan reads all of the log")
	} else if f.what.key != "" {
		f.e.note("the key index was not asked: one of which only its recall is left is found by its UNIQ_KEY or location, not by its KEYS")
	}
	return errFindings
}

// damaged tells whether a message was found of which nothing vouches for what it says.
func (f *finder) damaged() bool {
	for _, l := range f.lives {
		if l.damaged {
			return true
		}
	}
	return false
}

// look finds the messages by the shortest way.
func (f *finder) look(ctx context.Context) (err error) {
	f.lives, f.ledTo = map[commitlog.Loc]*life{}, map[commitlog.Loc]bool{}
	f.unread.Store(0)
	if f.m, err = readManifest(f.dir); err != nil {
		return err
	}
	f.names = namesOf(f.m)
	if f.what.byLoc {
		if err := f.place(ctx); err != nil || f.what.key == "" {
			return err
		}
	}
	switch {
	case f.scan:
		f.e.note("reading all of the log")
	case len(f.m.KeysUpTo) == 0:
		f.e.note("the store has no key index: reading all of the log")
	default:
		f.asked = true
		return f.byKeyIndex(ctx)
	}
	lanes, err := listLanes(f.dir, f.m)
	if err != nil {
		return err
	}
	var all []stretch
	for _, lane := range lanes {
		all = append(all, stretch{lane: lane, to: maxOffset})
	}
	_, err = f.scanned(ctx, all)
	return err
}

// found takes a message up, unless it is known or there are too many.
func (f *finder) found(l *life, payload []byte) {
	if id, ok := uniqKeyOf(payload).(string); ok {
		l.id = id
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.lives[l.item.Loc] != nil:
	case len(f.lives) < maxFound:
		f.lives[l.item.Loc] = l
	default:
		f.tooMany = true
	}
}

// sorted lists the messages in the order in which they were stored.
func (f *finder) sorted() []*life {
	lives := make([]*life, 0, len(f.lives))
	for _, l := range f.lives {
		lives = append(lives, l)
	}
	slices.SortFunc(lives, func(a, b *life) int {
		return cmp.Or(cmp.Compare(a.storedMs, b.storedMs), cmp.Compare(a.item.Loc, b.item.Loc))
	})
	return lives
}

// storedAt is when a message was stored: by itself, or by the frame it came in.
func storedAt(payload []byte, frameMs int64) int64 {
	var m message.Message
	if message.Decode(payload, &m) == nil && m.StoreMs > 0 {
		return m.StoreMs
	}
	return frameMs
}
