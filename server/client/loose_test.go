package client

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBareNumbersAsKeysAreQuoted(t *testing.T) {
	var v struct {
		Brokers []brokerData `json:"brokerDatas"`
		Text    string       `json:"text"`
	}
	require.NoError(t, decodeLoose([]byte(`{"brokerDatas":[{"brokerAddrs":{0:"a:1",12:"b:2"},"brokerName":"n"}],"text":"{0:\",1:"}`), &v))
	require.Equal(t, map[string]string{"0": "a:1", "12": "b:2"}, v.Brokers[0].Addrs)
	require.Equal(t, `{0:",1:`, v.Text, "strings are left alone")
}

func TestTablesWithObjectsAsKeysAreRead(t *testing.T) {
	read := func(s string) (pairs []string, err error) {
		err = eachPair([]byte(s), "offsetTable", func(key, value json.RawMessage) error {
			pairs = append(pairs, string(key)+"="+string(value))
			return nil
		})
		return pairs, err
	}
	got, err := read(`{"consumeTps":0.0,"offsetTable":{{"queueId":0}:{"a":1},{"queueId":1} : {"a":2}}}`)
	require.NoError(t, err)
	require.Equal(t, []string{`{"queueId":0}={"a":1}`, `{"queueId":1}={"a":2}`}, got)
	got, err = read(`{"offsetTable":{}}`)
	require.NoError(t, err)
	require.Empty(t, got)
	for _, bad := range []string{`{}`, `{"offsetTable":{`, `{"offsetTable":{{"q":1}}}`, `{"offsetTable":{{"q":1}:}}`, `{"offsetTable":{{"q":1}:{}`} {
		_, err := read(bad)
		require.Error(t, err, bad)
	}
}

func FuzzLooseAnswers(f *testing.F) {
	f.Add([]byte(`{"offsetTable":{{"queueId":0}:{"a":1}}}`))
	f.Add([]byte(`{"brokerAddrs":{0:"a:1"}}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var v any
		_ = decodeLoose(b, &v)
		_ = eachPair(b, "offsetTable", func(key, value json.RawMessage) error {
			_, err := decodePair(key, value, &QueueStats{})
			return err
		})
	})
}
