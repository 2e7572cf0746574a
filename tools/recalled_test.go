package tools

import (
	"encoding/binary"

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
