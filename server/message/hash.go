package message

import "unicode/utf8"

// Hash is Java's String.hashCode: h = 31*h + c over the UTF-16 units of s, with
// 32-bit wraparound. Bytes that are not UTF-8 count as U+FFFD.
func Hash(s string) int32 {
	var h int32
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return hashRunes(h, s[i:])
		}
		h = 31*h + int32(s[i])
	}
	return h
}

func hashRunes(h int32, s string) int32 {
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			h = 31*h + 0xD800 + r>>10
			r = 0xDC00 + r&0x3ff
		}
		h = 31*h + r
	}
	return h
}

// TagCode is what consume queues store and subscriptions compare: the hash of
// the TAGS property, sign-extended; 0 without tags.
func TagCode(tags string) int64 { return int64(Hash(tags)) }
