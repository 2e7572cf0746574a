package remoting

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// maxHeader is what the 24 bits of the header word can say.
const maxHeader = 1<<24 - 1

// AppendFrame appends c as a whole frame, in the form c.Serialize says. A header
// that would not fit into a frame (16 MiB) is replaced by one without extFields
// and with a remark that says so.
func AppendFrame(dst []byte, c *Command) []byte {
	h := header{
		code: c.Code, language: c.Language, version: c.Version, opaque: c.Opaque,
		flag: c.Flag, remark: c.Remark, ext: c.Ext,
	}
	start := len(dst)
	dst = appendHead(dst, c.Serialize, &h)
	dst = append(dst, c.Body...)
	setLength(dst[start:])
	return dst
}

// header is everything of a Command but its body and its form.
type header struct {
	code     int32
	language uint8
	version  int32
	opaque   int32
	flag     int32
	remark   string
	ext      []Field
}

// replyHeader is the header of an answer to t.
func replyHeader(t Token, code int32, remark string, ext []Field) header {
	return header{
		code: code, language: LangGo, version: Version, opaque: t.Opaque,
		flag: FlagResponse, remark: remark, ext: ext,
	}
}

// appendHead appends the length field, still zero, the header word and the header.
func appendHead(dst []byte, s Serialize, h *header) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0)
	if h.version == 0 {
		h.version = Version
	}
	if s == Binary {
		dst = appendBinaryHeader(dst, h)
	} else {
		dst = appendJSONHeader(dst, h)
	}
	n := len(dst) - start - 8
	if n > maxHeader {
		h.ext, h.remark = nil, "header exceeds 16 MiB"
		return appendHead(dst[:start], s, h)
	}
	binary.BigEndian.PutUint32(dst[start+4:], uint32(s)<<24|uint32(n))
	return dst
}

// setLength fills in the length field of a frame that is complete.
func setLength(frame []byte) {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
}

// replyStart is how every answer in JSON form starts.
var replyStart = string(appendJSONStart(nil, LangGo, Version, FlagResponse))

func appendJSONHeader(dst []byte, h *header) []byte {
	if h.language == LangGo && h.version == Version && h.flag == FlagResponse {
		dst = append(dst, replyStart...)
	} else {
		dst = appendJSONStart(dst, h.language, h.version, h.flag)
	}
	dst = strconv.AppendInt(dst, int64(h.code), 10)
	dst = append(dst, `,"opaque":`...)
	dst = strconv.AppendInt(dst, int64(h.opaque), 10)
	if h.remark != "" {
		dst = append(dst, `,"remark":`...)
		dst = appendJSONString(dst, h.remark)
	}
	dst = append(dst, `,"extFields":{`...)
	for i := range h.ext {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, h.ext[i].Key)
		dst = append(dst, ':')
		dst = appendJSONString(dst, h.ext[i].Value)
	}
	return append(dst, '}', '}')
}

// appendJSONStart appends a header up to the value of its code.
func appendJSONStart(dst []byte, language uint8, version, flag int32) []byte {
	dst = append(dst, `{"language":"`...)
	dst = append(dst, LanguageName(language)...)
	dst = append(dst, `","version":`...)
	dst = strconv.AppendInt(dst, int64(version), 10)
	dst = append(dst, `,"flag":`...)
	dst = strconv.AppendInt(dst, int64(flag), 10)
	return append(dst, `,"serializeTypeCurrentRPC":"JSON","code":`...)
}

const hexLower = "0123456789abcdef"

// appendJSONString appends s in quotes. What is not UTF-8 becomes U+FFFD.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	b := unsafe.Slice(unsafe.StringData(s), len(s)) // only read
	for {
		end := plainEnd(b, 0)
		dst = append(dst, b[:end]...)
		if end == len(b) {
			return append(dst, '"')
		}
		n := 1
		dst, n = appendSpecial(dst, b[end:])
		b = b[end+n:]
	}
}

// appendSpecial appends the first character of b, which is not plain, and
// returns its length in b.
func appendSpecial(dst, b []byte) ([]byte, int) {
	c := b[0]
	switch {
	case c >= utf8.RuneSelf:
		r, n := utf8.DecodeRune(b)
		return utf8.AppendRune(dst, r), n
	case c == '"' || c == '\\':
		return append(dst, '\\', c), 1
	}
	return append(dst, '\\', 'u', '0', '0', hexLower[c>>4], hexLower[c&15]), 1
}
