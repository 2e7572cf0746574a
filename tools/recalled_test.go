package tools

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// makeRecalled writes the store of makeFixture with a cancel log: DAY1 is recalled, the
// recall of DAY2 was revoked, and two recalled messages have no record any more: GONE,
// and one of which only the location is known, since its record was written anew.
func makeRecalled(t failer, dir string) *fixture {
	return fixtureWith(t, dir, func(f *fixture) {
		day := func(i int64) int64 { return fixtureStart + (10+i)*3600_000 }
		f.recall(1, f.recalled("DAY1", f.locs["DAY1"], day(1), false), f.recalled("DAY2", f.locs["DAY2"], day(2), false))
		f.recall(2, f.recalled("DAY2", f.locs["DAY2"], day(2), true), f.recalled("GONE", commitlog.MakeLoc(3, 456), day(3), false))
		anew := f.recalled("", commitlog.MakeLoc(3, 789), day(4), false)
		anew.Queue, anew.Key = 0, 0
		f.recall(3, anew)
		f.writeLane(store.CancelLane, 5, day(4))
	})
}

// recalled is a record of the cancel log.
func (f *fixture) recalled(key string, loc commitlog.Loc, fireMs int64, revoked bool) commitlog.Record {
	payload := append(binary.LittleEndian.AppendUint64(nil, uint64(loc)), 0)
	if revoked {
		payload[8] = 1
	}
	return commitlog.Record{
		When: fireMs, Flags: commitlog.FlagScheduled | commitlog.FlagTombstone, Queue: fixtureQueue, Key: uint32(message.Hash(key)), Payload: payload,
	}
}

// recall appends a frame to the cancel log, written so many seconds after the others.
func (f *fixture) recall(seconds int64, records ...commitlog.Record) {
	f.frame(store.CancelLane, fixtureStart+seconds*1000, make([]string, len(records)), records...)
}

// A recalled message does not move to a cold file, and its segment is given back: its
// recall is all that is left of it.
func TestFindTellsARecalledMessageThatWasGivenUp(t *testing.T) {
	dir := t.TempDir()
	m := makeCold(t, dir, time.UnixMilli(fixtureStart), 2*time.Hour, 500, 7, 499)
	require.Equal(t, int64(1), int64(len(m.Cold)))
	code, out, errs := run(t, "find", "FAR0007", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Regexp(t, `(?m)^FAR0007,3:\d+,orders/0,cancelled,[^,]+,cancel/0{20},\d+,it was due [^,]+; its record is gone; the key index knows it by this key,recall$`, out)
	require.Equal(t, 1, countRows(t, "csv", out))

	code, out, errs = run(t, "find", "FAR0499", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Regexp(t, `(?m)^FAR0499,3:\d+,orders/0,accepted,`, out)
	require.Regexp(t, `(?m)^FAR0499,3:\d+,orders/0,cancelled,[^,]+,cancel/0{20},\d+,it does not fire,`, out)
	code, _, errs = run(t, "find", "FAR0500", dir)
	require.Equal(t, ExitFindings, code, errs)
}
