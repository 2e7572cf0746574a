package remoting

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestDecodeReturnsWhatAppendFrameWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-zA-Z0-9"\\\x00-\x1f]{0,40}`))
		want := &Command{
			Code: rapid.Int32().Draw(t, "code"), Language: uint8(rapid.IntRange(0, 13).Draw(t, "language")),
			Version: rapid.Int32Range(1, 1000).Draw(t, "version"), Opaque: rapid.Int32().Draw(t, "opaque"),
			Flag: rapid.Int32Range(0, 3).Draw(t, "flag"), Remark: text.Draw(t, "remark"),
			Serialize: rapid.SampledFrom([]Serialize{JSON, Binary}).Draw(t, "form"),
			Body:      rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		if want.Serialize == Binary {
			want.Code = rapid.Int32Range(0, 3000).Draw(t, "short code")
		}
		for range rapid.IntRange(0, 20).Draw(t, "fields") {
			want.Ext = append(want.Ext, Field{text.Draw(t, "key"), text.Draw(t, "value")})
		}
		frame := AppendFrame([]byte("before"), want)
		var got Command
		require.NoError(t, Decode(frame[10:], &got))
		require.Empty(t, cmp.Diff(want, &got, sameCommand...))
	})
}

func TestJSONHeadersAreCompactAndTheirFieldsStrings(t *testing.T) {
	h := replyHeader(Token{Opaque: 7}, RespPullNotFound, "a \"b\"\x01", []Field{{"offset", "12"}, {"k", "é"}})
	got := string(appendHead(nil, JSON, &h)[8:])
	require.Equal(t, `{"language":"GO","version":513,"flag":1,"serializeTypeCurrentRPC":"JSON","code":19,"opaque":7,`+
		`"remark":"a \"b\"\u0001","extFields":{"offset":"12","k":"é"}}`, got)
}

func TestJSONHeadersAlwaysHaveExtFields(t *testing.T) {
	h := replyHeader(Token{}, RespSuccess, "", nil)
	require.True(t, strings.HasSuffix(string(appendHead(nil, JSON, &h)), `"extFields":{}}`))
}

func TestHeadersThatCannotBeSaidAreReplaced(t *testing.T) {
	for _, s := range []Serialize{JSON, Binary} {
		c := Command{Opaque: 5, Serialize: s, Ext: []Field{{"k", strings.Repeat("x", maxHeader)}}, Body: []byte("b")}
		var got Command
		require.NoError(t, Decode(AppendFrame(nil, &c)[4:], &got))
		require.Equal(t, int32(5), got.Opaque)
		require.Empty(t, got.Ext)
		require.Contains(t, got.Remark, "16 MiB")
	}
}

func FuzzJSONString(f *testing.F) {
	f.Add("KEYS\x01key\x02")
	f.Add("a\xffb\"\\é😀\u2028")
	f.Add(strings.Repeat("1234567", 3) + "\"")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendJSONString(nil, s)
		var got string
		require.NoError(t, json.Unmarshal(b, &got))
		require.Equal(t, string([]rune(s)), got, "every bad byte becomes U+FFFD")
		var c Command
		fast, end := c.fastString(b, 0)
		require.Equal(t, len(b), end)
		require.Equal(t, got, fast)
	})
}
