package message

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"
)

// UniqKeys makes UNIQ_KEY values for messages whose producer gave none, in the
// form that clients make them: 32 hex characters of ip (4 bytes), process id
// (2), a discriminator (4), milliseconds since the start of the month (4) and a
// counter (2). It is safe for concurrent use.
type UniqKeys struct {
	prefix [10]byte
	month  atomic.Pointer[month] // the present one; nil before the first key

	// clock is milliseconds<<16 | counter of the last key. It only grows, so keys
	// stay distinct when the wall clock is set back or 65,536 keys are made
	// within a millisecond: the clock part then runs ahead.
	clock atomic.Uint64
}

// NewUniqKeys returns a generator. ip and pid tell brokers and processes apart,
// salt two generators in one process.
func NewUniqKeys(ip netip.Addr, pid int, salt uint32) *UniqKeys {
	u := &UniqKeys{}
	if ip = ip.Unmap(); ip.IsValid() {
		b := ip.AsSlice()
		copy(u.prefix[:4], b[len(b)-4:])
	}
	binary.BigEndian.PutUint16(u.prefix[4:], uint16(pid))
	binary.BigEndian.PutUint32(u.prefix[6:], salt)
	return u
}

// Append appends the next key to dst. nowMs is the present, in ms since 1970.
func (u *UniqKeys) Append(dst []byte, nowMs int64) []byte {
	tick := u.next(uint64(nowMs))
	ms := int64(tick>>16) - u.monthOf(nowMs).startMs

	var raw [16]byte
	copy(raw[:], u.prefix[:])
	binary.BigEndian.PutUint32(raw[10:], uint32(ms))
	binary.BigEndian.PutUint16(raw[14:], uint16(tick))
	return appendHexUpper(dst, raw[:])
}

// month is one of the local calendar, from startMs to before endMs.
type month struct{ startMs, endMs int64 }

// monthOf is the month of a moment. It is kept: to find it costs more than the rest
// of a key.
func (u *UniqKeys) monthOf(ms int64) *month {
	if m := u.month.Load(); m != nil && m.startMs <= ms && ms < m.endMs {
		return m
	}
	y, mon, _ := time.UnixMilli(ms).Date()
	m := &month{
		startMs: time.Date(y, mon, 1, 0, 0, 0, 0, time.Local).UnixMilli(),
		endMs:   time.Date(y, mon+1, 1, 0, 0, 0, 0, time.Local).UnixMilli(),
	}
	u.month.Store(m)
	return m
}

// next returns the next value of the clock, at least ms<<16.
func (u *UniqKeys) next(ms uint64) uint64 {
	for {
		last := u.clock.Load()
		tick := max(last+1, ms<<16)
		if u.clock.CompareAndSwap(last, tick) {
			return tick
		}
	}
}
