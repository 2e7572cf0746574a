package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Apache's servers write two things that are not JSON: bare numbers as the keys of
// an object, {0:"..."}, and objects as the keys of one, {{"queueId":0}:{...}}.

// decodeLoose decodes JSON in which keys may be bare numbers.
func decodeLoose(b []byte, v any) error { return json.Unmarshal(quoteKeys(b), v) }

// quoteKeys puts bare numeric keys into quotes.
func quoteKeys(b []byte) []byte {
	out := make([]byte, 0, len(b)+16)
	inString := false
	for i := 0; i < len(b); i++ {
		ch := b[i]
		out = append(out, ch)
		switch {
		case inString && ch == '\\' && i+1 < len(b):
			i++
			out = append(out, b[i])
		case ch == '"':
			inString = !inString
		case !inString && (ch == '{' || ch == ','):
			if n := numericKey(b[i+1:]); n > 0 {
				out = append(out, '"')
				out = append(out, b[i+1:i+1+n]...)
				out = append(out, '"')
				i += n
			}
		}
	}
	return out
}

// numericKey returns the length of the digits that b begins with if a colon
// follows them.
func numericKey(b []byte) int {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n < len(b) && b[n] == ':' {
		return n
	}
	return 0
}

// eachPair calls f with every key and value, each as it stands, of the table that
// an answer has under name and whose keys are objects.
func eachPair(answer []byte, name string, f func(key, value json.RawMessage) error) error {
	at := bytes.Index(answer, []byte(`"`+name+`":{`))
	if at < 0 {
		return fmt.Errorf("the answer has no %s", name)
	}
	rest := bytes.TrimLeft(answer[at+len(name)+4:], " \r\n\t")
	for len(rest) > 0 && rest[0] != '}' {
		key, after, err := cutValue(rest)
		if err != nil {
			return err
		}
		if len(after) == 0 || after[0] != ':' {
			return fmt.Errorf("%s: a key without a value", name)
		}
		value, after, err := cutValue(after[1:])
		if err != nil {
			return err
		}
		if err := f(key, value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		rest = bytes.TrimLeft(bytes.TrimPrefix(after, []byte(",")), " \r\n\t")
	}
	if len(rest) == 0 {
		return fmt.Errorf("%s: %w", name, io.ErrUnexpectedEOF)
	}
	return nil
}

// cutValue cuts the JSON value off that b begins with.
func cutValue(b []byte) (value json.RawMessage, rest []byte, err error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&value); err != nil {
		return nil, nil, fmt.Errorf("not understood: %w", err)
	}
	return value, bytes.TrimLeft(b[d.InputOffset():], " \r\n\t"), nil
}
