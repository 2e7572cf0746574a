package remoting

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// fastString reads the JSON string at i. Without escapes the result is a view
// of h, else of the scratch memory of c. It returns -1 for what it leaves to the
// thorough decoder: control bytes, lone surrogates, bytes that are not UTF-8.
func (c *Command) fastString(h []byte, i int) (string, int) {
	if i >= len(h) || h[i] != '"' {
		return "", -1
	}
	i++
	start := i
	multi := false
	for {
		if i = plainEnd(h, i); i == len(h) {
			return "", -1
		}
		switch stringClass[h[i]] {
		case classUTF8:
			multi = true
			i++
		case classQuote:
			s := h[start:i]
			if multi && !utf8.Valid(s) {
				return "", -1
			}
			return view(s), i + 1
		case classEscape:
			return c.escapedString(h, start, i)
		default:
			return "", -1
		}
	}
}

// escapedString goes on where fastString met the first escape, at h[i]. The
// decoded text of a header is never longer than the header, so one allocation
// of its size serves all of its strings, and those of the next header too.
func (c *Command) escapedString(h []byte, start, i int) (string, int) {
	if cap(c.scratch)-len(c.scratch) < len(h)-start {
		c.scratch = make([]byte, 0, len(h))
	}
	begin := len(c.scratch)
	out := append(c.scratch, h[start:i]...)
	for i < len(h) {
		switch stringClass[h[i]] {
		case classQuote:
			c.scratch = out
			s := out[begin:]
			if !utf8.Valid(s) {
				return "", -1
			}
			return view(s), i + 1
		case classEscape:
			var n int
			if out, n = appendUnescaped(out, h[i:]); n == 0 {
				return "", -1
			}
			i += n
		case classControl:
			return "", -1
		default:
			end := plainEnd(h, i+1)
			out = append(out, h[i:end]...)
			i = end
		}
	}
	return "", -1
}

// appendUnescaped appends the meaning of the escape at the start of h, and
// returns how long it is; 0 if it is none, or half a surrogate pair.
func appendUnescaped(dst, h []byte) ([]byte, int) {
	if len(h) >= 6 && string(h[1:5]) == "u000" && isDigit(h[5]) {
		return append(dst, h[5]-'0'), 6 // the separators of properties
	}
	if len(h) < 2 {
		return dst, 0
	}
	switch h[1] {
	case '"', '\\', '/':
		return append(dst, h[1]), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
		return appendUnicode(dst, h)
	}
	return dst, 0
}

// appendUnicode is appendUnescaped for \uXXXX, or two of them.
func appendUnicode(dst, h []byte) ([]byte, int) {
	r := hex4(h)
	if r < 0 {
		return dst, 0
	}
	if !utf16.IsSurrogate(r) {
		return utf8.AppendRune(dst, r), 6
	}
	r = utf16.DecodeRune(r, hex4(h[6:]))
	if r == utf8.RuneError {
		return dst, 0
	}
	return utf8.AppendRune(dst, r), 12
}

// hex4 returns the code unit of the \uXXXX at the start of h, or -1.
func hex4(h []byte) rune {
	if len(h) < 6 || h[0] != '\\' || h[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range h[2:6] {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return -1
		}
	}
	return r
}

// Eight equal bytes, for testing eight at once.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
)

// plainEnd returns the end of the run of plain bytes of h that starts at i.
func plainEnd(h []byte, i int) int {
	for ; len(h)-i >= 8; i += 8 {
		if m := special(binary.LittleEndian.Uint64(h[i:])); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	if left := len(h) - i; left > 0 && len(h) >= 8 {
		// The last eight bytes again, with blanks in place of those behind the end.
		w := binary.LittleEndian.Uint64(h[len(h)-8:])>>(64-8*left) | ' '*ones<<(8*left)
		if m := special(w); m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
		return len(h)
	}
	for i < len(h) && stringClass[h[i]] == classPlain {
		i++
	}
	return i
}

// special sets the high bit of the first byte of w that is not plain; bytes
// behind that one may be wrong. It is 0 when all eight are plain.
func special(w uint64) uint64 {
	quote := w ^ '"'*ones
	escape := w ^ '\\'*ones
	return ((w-' '*ones)&^w | (quote-ones)&^quote | (escape-ones)&^escape | w) & highs
}
