package message

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvelopesComeBackAsTheyWere(t *testing.T) {
	rec, err := Append(nil, &Message{Topic: "t", Body: []byte("b"), Properties: "K\x01v\x02"})
	require.NoError(t, err)
	in := []Envelope{{FireMs: 1_800_000_000_123, Loc: 1<<56 | 77, BodySize: 1, Record: rec}, {FireMs: -1, BodySize: 9, Record: rec}}
	b := AppendEnvelope(AppendEnvelope(nil, &in[0]), &in[1])
	require.Equal(t, "000001a3185c507b"+"010000000000004d"+"00000001", hex.EncodeToString(b[:envelopeHead]), "part of the format")
	var out []Envelope
	for e, err := range Envelopes(b) {
		require.NoError(t, err)
		out = append(out, e)
	}
	require.Equal(t, in, out)
	for cut := 1; cut < len(b); cut++ {
		if cut == envelopeHead+len(rec) {
			continue // a whole one
		}
		var last error
		for _, err := range Envelopes(b[:cut]) {
			last = err
		}
		require.ErrorIs(t, last, ErrTruncated, cut)
	}
}

func FuzzEnvelopes(f *testing.F) {
	rec, _ := Append(nil, &Message{Topic: "t", Body: []byte("b")})
	f.Add(AppendEnvelope(nil, &Envelope{FireMs: 5, Record: rec}))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		for e, err := range Envelopes(b) {
			if err != nil {
				return
			}
			again = AppendEnvelope(again, &e)
		}
		if !bytes.Equal(again, b) {
			t.Fatal("what was decoded does not encode to the same bytes")
		}
	})
}
