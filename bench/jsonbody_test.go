package bench

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJSONBodiesHaveTheirSizeAndAreTheirOwnCheck(t *testing.T) {
	var body, scratch []byte
	for _, size := range []int{minJSONBody, 700, 1024, 8 << 10} {
		for id := range uint64(2000) {
			body = jsonBody(body, id*id*id*7919, size)
			require.Len(t, body, size)
			got, err := parseJSONBody(body, scratch)
			require.NoError(t, err)
			require.Equal(t, id*id*id*7919, got)
			if id%100 == 0 {
				require.True(t, json.Valid(body), "%s", body)
			}
		}
	}
	body[len(body)/2] ^= 1
	_, err := parseJSONBody(body, nil)
	require.ErrorIs(t, err, errBodyCRC)
	_, err = parseJSONBody([]byte("nonsense"), nil)
	require.ErrorIs(t, err, errBodyHeader)
}
