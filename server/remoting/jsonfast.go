package remoting

import (
	"bytes"
	"unicode/utf8"
)

// Classes of bytes inside a JSON string.
const (
	classPlain = iota // stands for itself
	classQuote
	classEscape
	classControl // must not stand in a string
	classUTF8    // part of a multi-byte character
)

var stringClass = func() (t [256]uint8) {
	for c := range t {
		switch {
		case c == '"':
			t[c] = classQuote
		case c == '\\':
			t[c] = classEscape
		case c < ' ':
			t[c] = classControl
		case c >= utf8.RuneSelf:
			t[c] = classUTF8
		}
	}
	return t
}()

// decodeFast is the decoder for headers as clients really write them: integers,
// strings, truth values, one level of extFields. It reports false, leaving c in
// any state, for everything else, right or wrong; decodeSlow then decides. When
// it reports true, decodeSlow would have given the same (fuzzed).
func (c *Command) decodeFast(h []byte) bool {
	i := skipSpace(h, 0)
	if i >= len(h) || h[i] != '{' {
		return false
	}
	i = skipSpace(h, i+1)
	for {
		key, next := plainKey(h, i)
		if next < 0 {
			return false
		}
		if i = c.fastMember(h, next, key); i < 0 {
			return false
		}
		i = skipSpace(h, i)
		if i >= len(h) {
			return false
		}
		switch h[i] {
		case ',':
			i = skipSpace(h, i+1)
		case '}':
			return skipSpace(h, i+1) == len(h)
		default:
			return false
		}
	}
}

// fastMember reads the value of a top-level member and returns where it ends,
// or -1. A missing member keeps its zero value; an unknown one is not for us.
func (c *Command) fastMember(h []byte, i int, key []byte) int {
	switch string(key) {
	case "code":
		return fastInt(h, i, &c.Code)
	case "version":
		return fastInt(h, i, &c.Version)
	case "opaque":
		return fastInt(h, i, &c.Opaque)
	case "flag":
		return fastInt(h, i, &c.Flag)
	case "extFields":
		return c.fastExt(h, i)
	case "remark":
		if isNull(h, i) {
			c.Remark = ""
			return i + 4
		}
		s, i := c.fastString(h, i)
		c.Remark = s
		return i
	case "language":
		return c.fastLanguage(h, i)
	case "serializeTypeCurrentRPC":
		_, i = c.fastString(h, i)
		return i
	}
	return -1
}

// fastLanguage reads a language, by name or by number.
func (c *Command) fastLanguage(h []byte, i int) int {
	if i < len(h) && h[i] == '"' {
		s, i := c.fastString(h, i)
		if i >= 0 {
			c.Language = LanguageCode(s)
		}
		return i
	}
	var n int32
	if i = fastInt(h, i, &n); i >= 0 {
		c.Language = languageOrdinal(n)
	}
	return i
}

// fastExt reads the extFields object.
func (c *Command) fastExt(h []byte, i int) int {
	c.Ext = c.Ext[:0]
	if isNull(h, i) {
		return i + 4
	}
	if i >= len(h) || h[i] != '{' {
		return -1
	}
	i = skipSpace(h, i+1)
	if i < len(h) && h[i] == '}' {
		return i + 1
	}
	for {
		if i = c.fastField(h, i); i < 0 {
			return -1
		}
		i = skipSpace(h, i)
		if i >= len(h) {
			return -1
		}
		switch h[i] {
		case ',':
			i = skipSpace(h, i+1)
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// fastField reads one key and value of extFields.
func (c *Command) fastField(h []byte, i int) int {
	if i >= len(h) || h[i] != '"' || len(c.Ext) == maxFields {
		return -1
	}
	// Nearly all of them are `"key":"value"` without a blank or an escape.
	keyEnd := i + 2 // one-letter keys, those of SEND_MESSAGE_V2
	if keyEnd >= len(h) || h[keyEnd] != '"' || stringClass[h[i+1]] != classPlain {
		keyEnd = plainEnd(h, i+1)
	}
	if len(h)-keyEnd > 3 && h[keyEnd] == '"' && h[keyEnd+1] == ':' && h[keyEnd+2] == '"' {
		end := shortEnd(h, keyEnd+3)
		if end < len(h) && h[end] == '"' {
			c.Ext = append(c.Ext, Field{view(h[i+1 : keyEnd]), view(h[keyEnd+3 : end])})
			return end + 1
		}
	}
	return c.otherField(h, i)
}

// otherField is fastField for all kinds of values. Null is the same as nothing.
func (c *Command) otherField(h []byte, i int) int {
	key, i := plainKey(h, i)
	if i < 0 || i >= len(h) {
		return -1
	}
	var value string
	switch h[i] {
	case '"':
		if value, i = c.fastString(h, i); i < 0 {
			return -1
		}
	case 'n':
		if !isNull(h, i) {
			return -1
		}
		return i + 4
	default:
		end := scalarEnd(h, i)
		if end < 0 {
			return -1
		}
		value, i = view(h[i:end]), end
	}
	c.Ext = append(c.Ext, Field{view(key), value})
	return i
}

// plainKey reads `"key" :` without escapes and returns where the value starts.
func plainKey(h []byte, i int) (key []byte, next int) {
	if i >= len(h) || h[i] != '"' {
		return nil, -1
	}
	start := i + 1
	end := plainEnd(h, start)
	if end >= len(h) || h[end] != '"' {
		return nil, -1
	}
	i = skipSpace(h, end+1)
	if i >= len(h) || h[i] != ':' {
		return nil, -1
	}
	return h[start:end], skipSpace(h, i+1)
}

// scalarEnd returns the end of true, false or an integer at i, or -1.
func scalarEnd(h []byte, i int) int {
	switch {
	case bytes.HasPrefix(h[i:], []byte("true")):
		return i + 4
	case bytes.HasPrefix(h[i:], []byte("false")):
		return i + 5
	}
	return integerEnd(h, i)
}

// integerEnd returns the end of the integer at i, or -1 if there is none or it
// goes on with a fraction or an exponent.
func integerEnd(h []byte, i int) int {
	if i < len(h) && h[i] == '-' {
		i++
	}
	start := i
	for i < len(h) && isDigit(h[i]) {
		i++
	}
	if i == start || h[start] == '0' && i > start+1 {
		return -1
	}
	if i < len(h) && (h[i] == '.' || h[i]|0x20 == 'e') {
		return -1
	}
	return i
}

// fastInt reads an integer of at most 32 bits.
func fastInt(h []byte, i int, v *int32) int {
	end := integerEnd(h, i)
	if end < 0 || end-i > 11 {
		return -1
	}
	negative := h[i] == '-'
	if negative {
		i++
	}
	var n int64
	for _, d := range h[i:end] {
		n = n*10 + int64(d-'0')
	}
	if negative {
		n = -n
	}
	if n != int64(int32(n)) {
		return -1
	}
	*v = int32(n)
	return end
}

func isNull(h []byte, i int) bool { return len(h)-i >= 4 && string(h[i:i+4]) == "null" }

func isDigit(c byte) bool { return c-'0' <= 9 }

func skipSpace(h []byte, i int) int {
	for i < len(h) && (h[i] == ' ' || h[i] == '\n' || h[i] == '\r' || h[i] == '\t') {
		i++
	}
	return i
}

// indexKey returns where the value of the first `key :` starts, or -1.
func indexKey(h []byte, key string) int {
	at := bytes.Index(h, []byte(key))
	if at < 0 {
		return -1
	}
	i := skipSpace(h, at+len(key))
	if i >= len(h) || h[i] != ':' {
		return -1
	}
	return skipSpace(h, i+1)
}

// shortEnd is plainEnd for what is mostly shorter than a word.
func shortEnd(h []byte, i int) int {
	for end := min(i+3, len(h)); i < end; i++ {
		if stringClass[h[i]] != classPlain {
			return i
		}
	}
	return plainEnd(h, i)
}
