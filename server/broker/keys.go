package broker

import (
	"strings"

	"github.com/duelog/duelog/server/message"
)

// A message is found by its UNIQ_KEY and by each word of its KEYS, both together
// with its topic. What the store keeps are hashes of the pair.

// maxKeys bounds by how many words of its KEYS a message is found: they may be
// 16,000. The first ones count.
const maxKeys = 64

// Keys appends the hashes by which the message in a stored record is found; it is
// for store.Options.Keys. Bytes that are no message have none.
func Keys(payload []byte, dst []uint64) []uint64 {
	var m message.Message
	if message.Decode(payload, &m) != nil {
		return dst
	}
	uniq, keys := keyProperties(m.Properties)
	return appendKeys(dst, m.Topic, uniq, keys)
}

// keyProperties returns UNIQ_KEY and KEYS in one pass.
func keyProperties(props string) (uniq, keys string) {
	for name, value := range message.Properties(props) {
		switch name {
		case message.PropUniqKey:
			uniq = value
		case message.PropKeys:
			keys = value
		}
	}
	return uniq, keys
}

// appendKeys appends the hashes of uniq and of the words of keys.
func appendKeys(dst []uint64, topic, uniq, keys string) []uint64 {
	seed := hashText(0, topic)
	if uniq != "" {
		dst = append(dst, hashText(seed, uniq))
	}
	for n := 0; keys != "" && n < maxKeys; {
		word, rest, _ := strings.Cut(keys, " ")
		keys = rest
		if word != "" && word != uniq {
			dst = append(dst, hashText(seed, word))
			n++
		}
	}
	return dst
}

// hasKey reports whether key is one of the words of keys.
func hasKey(keys, key string) bool {
	for word := range strings.SplitSeq(keys, " ") {
		if word == key {
			return true
		}
	}
	return false
}

// KeyHash is the hash by which a message of topic is found by key. It stands on disk; do
// not change.
func KeyHash(topic, key string) uint64 { return hashText(hashText(0, topic), key) }

// hashText continues h with s, eight bytes at a time. It is no match for somebody
// who wants collisions: they cost a look at one more message.
func hashText(h uint64, s string) uint64 {
	h += uint64(len(s)) + 1
	for ; len(s) >= 8; s = s[8:] {
		h = mix(h ^ (uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56))
	}
	last := uint64(0)
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	return mix(h ^ last)
}

// mix lets every bit of h change about half of the others.
func mix(h uint64) uint64 {
	h *= 0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}
