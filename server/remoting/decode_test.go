package remoting

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"
)

var sameCommand = []cmp.Option{cmpopts.IgnoreUnexported(Command{}), cmpopts.EquateEmpty()}

func decodeJSON(t require.TestingT, head string) *Command {
	var c Command
	require.NoError(t, Decode(frameOf(JSON, head, []byte("body")), &c))
	require.Equal(t, "body", string(c.Body))
	return &c
}

func TestCapturedHeadersTakeTheFastPathAndMeanTheSameOnTheSlowOne(t *testing.T) {
	for name, head := range samples {
		t.Run(name, func(t *testing.T) {
			var fast, slow Command
			require.True(t, fast.decodeFast([]byte(head)))
			require.NoError(t, slow.decodeSlow([]byte(head)))
			require.Empty(t, cmp.Diff(slow, fast, sameCommand...))
		})
	}
}

func TestDecodeReadsTheCppSend(t *testing.T) {
	c := decodeJSON(t, samples["cpp send"])
	require.Equal(t, ReqSendMessage, c.Code)
	require.Equal(t, LangCPP, c.Language)
	require.Equal(t, int32(63), c.Version)
	require.Equal(t, int32(2), c.Opaque)
	require.Equal(t, "4", c.Get("defaultTopicQueueNums"), "a JSON number")
	require.Equal(t, "KEYS\x01key-prime\x02TAGS\x01TagA\x02UNIQ_KEY\x010100007F0000A42D0000013E9C770100\x02WAIT\x01true\x02property\x01test\x02", c.Get("properties"))
	batch, err := c.Bool("batch")
	require.NoError(t, err)
	require.False(t, batch, `written as "0"`)
	born, err := c.Int64("bornTimestamp")
	require.NoError(t, err)
	require.Equal(t, int64(1795407928193), born)
}

// TestDecodeToleratesWhatClientsWrite holds each tolerance the protocol needs,
// whichever of the two decoders grants it.
func TestDecodeToleratesWhatClientsWrite(t *testing.T) {
	for name, c := range map[string]struct {
		head string
		want Command
	}{
		"trailing newline":     {"{\"code\":10}\n", Command{Code: 10}},
		"blanks everywhere":    {" { \"code\" : 10 ,\t\"extFields\" : { \"a\" : \"1\" , \"b\" : 2 } }\r\n", Command{Code: 10, Ext: []Field{{"a", "1"}, {"b", "2"}}}},
		"nothing at all":       {`{}`, Command{}},
		"extFields missing":    {`{"code":34,"opaque":7}`, Command{Code: 34, Opaque: 7}},
		"extFields null":       {`{"extFields":null}`, Command{}},
		"extFields empty":      {`{"extFields":{}}`, Command{}},
		"numbers":              {`{"extFields":{"a":0,"b":-12,"c":1.5e3}}`, Command{Ext: []Field{{"a", "0"}, {"b", "-12"}, {"c", "1.5e3"}}}},
		"truth values":         {`{"extFields":{"a":true,"b":false}}`, Command{Ext: []Field{{"a", "true"}, {"b", "false"}}}},
		"null is nothing":      {`{"remark":null,"extFields":{"a":null,"b":"x"}}`, Command{Ext: []Field{{"b", "x"}}}},
		"nested value as text": {`{"extFields":{"a":{"b":[1]}}}`, Command{Ext: []Field{{"a", `{"b":[1]}`}}}},
		"language by number":   {`{"language":9}`, Command{Language: LangGo}},
		"language unknown":     {`{"language":"COBOL"}`, Command{Language: LangOther}},
		"language ordinal off": {`{"language":99}`, Command{Language: LangOther}},
		"numbers in quotes":    {`{"code":"10","opaque":"3"}`, Command{Code: 10, Opaque: 3}},
		"null numbers":         {`{"code":null,"opaque":3}`, Command{Opaque: 3}},
		"unknown members":      {`{"code":1,"customHeader":{"x":[{}]},"suspended":false}`, Command{Code: 1}},
		"negative opaque":      {`{"opaque":-2147483648}`, Command{Opaque: -2147483648}},
		"escapes":              {`{"remark":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"}`, Command{Remark: "\"\\/\b\f\n\r\té😀"}},
		"lone surrogate":       {`{"remark":"a\ud83dz"}`, Command{Remark: "a\uFFFDz"}},
		"plain UTF-8":          {`{"extFields":{"ключ":"值"}}`, Command{Ext: []Field{{"ключ", "值"}}}},
		"bad UTF-8":            {"{\"remark\":\"a\xffb\"}", Command{Remark: "a\uFFFDb"}},
		"escaped keys":         {`{"\u0063ode":5,"extFields":{"\u0061":"1"}}`, Command{Code: 5, Ext: []Field{{"a", "1"}}}},
		"pop code":             {`{"code":200050}`, Command{Code: ReqPopMessage}},
	} {
		t.Run(name, func(t *testing.T) {
			got := decodeJSON(t, c.head)
			got.Body = nil
			require.Empty(t, cmp.Diff(&c.want, got, sameCommand...))
		})
	}
}

func TestOfEqualKeysTheLastOneCounts(t *testing.T) {
	c := decodeJSON(t, `{"code":1,"extFields":{"z":"0"},"extFields":{"a":"1","a":"2"},"code":2}`)
	require.Equal(t, int32(2), c.Code)
	require.Equal(t, "2", c.Get("a"))
	_, ok := c.Lookup("z")
	require.False(t, ok)
}

func TestDecodeReusesItsMemory(t *testing.T) {
	frame := frameOf(JSON, samples["java 513 send v2"], make([]byte, 1024))
	binaryFrame := AppendFrame(nil, sendCommand(Binary, nil))[4:]
	var c Command
	require.NoError(t, Decode(frame, &c))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if Decode(frame, &c) != nil || Decode(binaryFrame, &c) != nil {
			t.Fail()
		}
	}))
}

func TestDecodeLeavesNothingOfTheCommandBefore(t *testing.T) {
	var c Command
	require.NoError(t, Decode(frameOf(JSON, samples["pull reply"], []byte("x")), &c))
	require.NoError(t, Decode(frameOf(JSON, `{}`, nil), &c))
	require.Empty(t, cmp.Diff(Command{}, c, sameCommand...))
}

func TestCloneLivesOnWhenTheFrameIsOverwritten(t *testing.T) {
	frame := frameOf(JSON, samples["cpp send"], []byte("body"))
	var c Command
	require.NoError(t, Decode(frame, &c))
	d := c.Clone()
	for i := range frame {
		frame[i] = 'x'
	}
	require.NoError(t, Decode(frameOf(JSON, samples["java pull"], nil), &c))
	want := decodeJSON(t, samples["cpp send"])
	require.Empty(t, cmp.Diff(want, d, sameCommand...))
}

func TestBinaryCodesAreWidened(t *testing.T) {
	for sent, want := range map[int32]int32{
		3442: ReqPopMessage, 3443: ReqAckMessage, 3445: ReqChangeInvisibleTime, 3446: ReqNotification,
		3543: ReqBatchAckMessage, 3441: 3441, 3544: 3544, 310: 310, 3001: 3001,
	} {
		var c Command
		require.NoError(t, Decode(AppendFrame(nil, &Command{Code: sent, Serialize: Binary})[4:], &c))
		require.Equal(t, want, c.Code)
	}
	for _, code := range []int32{ReqPopMessage, ReqBatchAckMessage} {
		var c Command
		require.NoError(t, Decode(AppendFrame(nil, &Command{Code: code, Serialize: Binary})[4:], &c))
		require.Equal(t, code, c.Code, "sent whole, truncated by the form, widened again")
	}
	var c Command
	require.NoError(t, Decode(AppendFrame(nil, &Command{Code: 3442, Flag: FlagResponse, Serialize: Binary})[4:], &c))
	require.Equal(t, int32(3442), c.Code, "response codes are not touched")
}

func TestBinaryHeaderHasTheDocumentedLayout(t *testing.T) {
	got := AppendFrame(nil, &Command{
		Code: 310, Language: LangGo, Version: 317, Opaque: -2, Flag: 2, Remark: "r",
		Serialize: Binary, Ext: []Field{{"a", "xyz"}, {"b", ""}}, Body: []byte("B"),
	})
	want := []byte{
		0, 0, 0, 43, 1, 0, 0, 38, // length, header word
		310 >> 8, 310 & 255, 9, 317 >> 8, 317 & 255, 255, 255, 255, 254, 0, 0, 0, 2,
		0, 0, 0, 1, 'r',
		0, 0, 0, 17, 0, 1, 'a', 0, 0, 0, 3, 'x', 'y', 'z', 0, 1, 'b', 0, 0, 0, 0,
		'B',
	}
	require.Equal(t, want[8:], got[8:])
	require.Equal(t, len(got)-4, int(binary.BigEndian.Uint32(got)))
	require.Equal(t, uint32(1<<24|len(got)-9), binary.BigEndian.Uint32(got[4:]))
}

func TestMalformedHeadersAreHeaderErrorsWithTheOpaqueWhenThereIsOne(t *testing.T) {
	binaryHead := string(AppendFrame(nil, &Command{Code: 10, Opaque: 77, Serialize: Binary, Ext: []Field{{"a", "b"}}})[8:])
	for name, c := range map[string]struct {
		form   Serialize
		head   string
		opaque int32
		answer bool
	}{
		"empty":              {JSON, ``, 0, false},
		"null":               {JSON, `null`, 0, false},
		"no JSON":            {JSON, `hello`, 0, false},
		"cut":                {JSON, `{"code":10,"opaque":5,"extFields":{"a"`, 5, true},
		"code no number":     {JSON, `{"code":"x","opaque" : -6}`, -6, true},
		"code too large":     {JSON, `{"code":99999999999,"opaque":6}`, 6, true},
		"code a fraction":    {JSON, `{"code":1.5,"opaque":6}`, 6, true},
		"ext an array":       {JSON, `{"extFields":[],"opaque":6}`, 6, true},
		"ext a string":       {JSON, `{"extFields":"x","opaque":6}`, 6, true},
		"remark no string":   {JSON, `{"remark":7,"opaque":6}`, 6, true},
		"language no string": {JSON, `{"language":[],"opaque":6}`, 6, true},
		"control character":  {JSON, "{\"remark\":\"\x01\",\"opaque\":6}", 6, true},
		"leading zero":       {JSON, `{"opaque":06}`, 6, true},
		"second value":       {JSON, `{"opaque":6}{}`, 6, true},
		"opaque no number":   {JSON, `{"opaque":"x"}`, 0, false},
		"opaque missing":     {JSON, `{"code":]`, 0, false},
		"one-way":            {JSON, `{"code":],"flag":2,"opaque":6}`, 6, false},
		"response":           {JSON, `{"code":],"flag":1,"opaque":6}`, 6, false},
		"binary cut":         {Binary, binaryHead[:len(binaryHead)-1], 77, true},
		"binary short":       {Binary, binaryHead[:12], 0, false},
		"binary remark":      {Binary, binaryHead[:13] + "\xff\xff\xff\xff\x00\x00\x00\x00", 77, true},
		"binary key":         {Binary, binaryHead[:17] + "\x00\x00\x00\x02\xff\xff", 77, true},
		"too many fields":    {JSON, `{"opaque":6,"extFields":{` + strings.Repeat(`"":0,`, maxFields) + `"":0}}`, 6, true},
	} {
		t.Run(name, func(t *testing.T) {
			var cmd Command
			err := Decode(frameOf(c.form, c.head, nil), &cmd)
			require.ErrorIs(t, err, ErrHeader)
			var bad *HeaderError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, c.opaque, bad.Token.Opaque)
			require.Equal(t, c.form, bad.Token.Serialize)
			require.Equal(t, c.answer, bad.Answer)
		})
	}
}

func TestBrokenFramesAreNotHeaderErrors(t *testing.T) {
	for _, c := range []struct {
		frame string
		want  error
	}{
		{"", ErrFrameSize},
		{"\x00\x00\x00", ErrFrameSize},
		{"\x00\x00\x00\x01", ErrHeaderSize},
		{"\x01\xff\xff\xff{}", ErrHeaderSize},
		{"\x02\x00\x00\x02{}", ErrSerialize},
	} {
		var cmd Command
		err := Decode([]byte(c.frame), &cmd)
		require.ErrorIs(t, err, c.want)
		require.NotErrorIs(t, err, ErrHeader)
	}
}

func FuzzJSONHeader(f *testing.F) {
	for _, head := range samples {
		f.Add(head)
	}
	f.Add(`{"remark":"\ud83d\ude00\ud83d","extFields":{"a":1.5e3,"b":true,"c":null,"d":{},"e":-0}}`)
	f.Add("{\"language\":9,\"extFields\":null,\"version\":01} \n")
	f.Fuzz(func(t *testing.T, head string) {
		var fast, slow Command
		if !fast.decodeFast([]byte(head)) {
			_ = Decode(frameOf(JSON, head[:min(len(head), maxHeader)], nil), &slow)
			return
		}
		require.NoError(t, slow.decodeSlow([]byte(head)))
		require.Empty(t, cmp.Diff(slow, fast, sameCommand...))
	})
}

func FuzzBinaryHeader(f *testing.F) {
	for _, head := range samples {
		c := decodeJSON(f, head)
		c.Serialize = Binary
		f.Add(string(AppendFrame(nil, c)[8:]))
	}
	f.Fuzz(func(t *testing.T, head string) {
		var c, again Command
		if Decode(frameOf(Binary, head[:min(len(head), maxHeader)], []byte("b")), &c) != nil || c.Version == 0 {
			return
		}
		require.NoError(t, Decode(AppendFrame(nil, &c)[4:], &again))
		require.Empty(t, cmp.Diff(c, again, sameCommand...))
	})
}
