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
	now    func() time.Time

	// clock is milliseconds<<16 | counter of the last key. It only grows, so keys
	// stay distinct when the wall clock is set back or 65,536 keys are made
	// within a millisecond: the clock part then runs ahead.
	clock atomic.Uint64
}

// NewUniqKeys returns a generator. ip and pid tell brokers and processes apart,
// salt two generators in one process. A nil now means time.Now.
func NewUniqKeys(ip netip.Addr, pid int, salt uint32, now func() time.Time) *UniqKeys {
	if now == nil {
		now = time.Now
	}
	u := &UniqKeys{now: now}
	if ip = ip.Unmap(); ip.IsValid() {
		b := ip.AsSlice()
		copy(u.prefix[:4], b[len(b)-4:])
	}
	binary.BigEndian.PutUint16(u.prefix[4:], uint16(pid))
	binary.BigEndian.PutUint32(u.prefix[6:], salt)
	return u
}

// Append appends the next key to dst.
func (u *UniqKeys) Append(dst []byte) []byte {
	now := u.now()
	start := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, now.Location())
	tick := u.next(uint64(now.UnixMilli()))
	ms := int64(tick>>16) - start.UnixMilli()

	var raw [16]byte
	copy(raw[:], u.prefix[:])
	binary.BigEndian.PutUint32(raw[10:], uint32(ms))
	binary.BigEndian.PutUint16(raw[14:], uint16(tick))
	return appendHexUpper(dst, raw[:])
}

// Next is Append as a string.
func (u *UniqKeys) Next() string {
	var buf [32]byte
	return string(u.Append(buf[:0]))
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
