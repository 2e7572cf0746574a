package bench

import (
	"bytes"
	"compress/flate"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestABodyCarriesItsLabel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := label{rapid.Uint64().Draw(t, "series"), rapid.Uint64().Draw(t, "id"), rapid.Int64().Draw(t, "due")}
		body := make([]byte, rapid.IntRange(MinBody, 200_000).Draw(t, "size"))
		l.fill(body)
		got, err := parseBody(body, len(body))
		require.NoError(t, err)
		require.Equal(t, l, got)
	})
}

func TestEveryAlteredByteIsNoticed(t *testing.T) {
	body := make([]byte, 200)
	label{1, 2, 3}.fill(body)
	for i := range body {
		altered := bytes.Clone(body)
		altered[i] ^= 1
		_, err := parseBody(altered, len(body))
		require.Error(t, err, "byte %d", i)
	}
	_, err := parseBody(body[:199], 200)
	require.ErrorIs(t, err, errBodySize)
}

func TestABodyIsTextThatCompressesToAboutHalf(t *testing.T) {
	body := make([]byte, 8192)
	label{1, 2, 3}.fill(body)
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	require.NoError(t, err)
	_, err = w.Write(body)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.InDelta(t, 0.5, float64(out.Len())/float64(len(body)), 0.15)
	for _, c := range body {
		require.True(t, c >= ' ' && c <= '~')
	}
}

func FuzzParseBody(f *testing.F) {
	body := make([]byte, 128)
	label{1, 2, 3}.fill(body)
	f.Add(body)
	f.Add(body[:60])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseBody(b, len(b))
		if err != nil {
			return
		}
		again := make([]byte, len(b))
		copy(again, b)
		if len(b) == 128 && l == (label{1, 2, 3}) {
			l.fill(again)
			require.Equal(t, body[:headerSize-8], again[:headerSize-8])
		}
	})
}

func BenchmarkFillAndParse(b *testing.B) {
	body := make([]byte, 1024)
	b.SetBytes(1024)
	for b.Loop() {
		label{1, 2, 3}.fill(body)
		if _, err := parseBody(body, 1024); err != nil {
			b.Fatal(err)
		}
	}
}
