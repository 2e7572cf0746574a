package remoting

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// decodeSlow reads a JSON header with encoding/json. It accepts everything that
// decodeFast does, and further: unknown members of any kind, numbers in quotes,
// null for a number, any JSON value in extFields (kept as its text), escapes in
// keys. Of equal keys the last one counts.
func (c *Command) decodeSlow(h []byte) error {
	*c = Command{Serialize: c.Serialize, Ext: c.Ext[:0], Body: c.Body, scratch: c.scratch[:0]}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(h, &members); err != nil {
		return err
	}
	if members == nil {
		return errors.New("header is null")
	}
	return errors.Join(
		slowInt(members, "code", &c.Code),
		slowInt(members, "version", &c.Version),
		slowInt(members, "opaque", &c.Opaque),
		slowInt(members, "flag", &c.Flag),
		slowString(members, "remark", &c.Remark),
		c.slowLanguage(members),
		c.slowExt(members["extFields"]),
	)
}

func slowInt(members map[string]json.RawMessage, key string, v *int32) error {
	raw := members[key]
	if absent(raw) {
		return nil
	}
	n, err := strconv.ParseInt(string(bytes.Trim(raw, `"`)), 10, 32)
	if err != nil {
		return fmt.Errorf("%s is not a 32-bit integer", key)
	}
	*v = int32(n)
	return nil
}

func slowString(members map[string]json.RawMessage, key string, v *string) error {
	if raw := members[key]; !absent(raw) {
		return json.Unmarshal(raw, v)
	}
	return nil
}

// slowLanguage reads a language, by name or by number.
func (c *Command) slowLanguage(members map[string]json.RawMessage) error {
	if raw := members["language"]; len(raw) > 0 && raw[0] == '"' {
		var name string
		err := json.Unmarshal(raw, &name)
		c.Language = LanguageCode(name)
		return err
	}
	var n int32
	err := slowInt(members, "language", &n)
	c.Language = languageOrdinal(n)
	return err
}

// slowExt reads extFields token by token: order and repetitions are kept.
func (c *Command) slowExt(raw json.RawMessage) error {
	if absent(raw) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("extFields is not an object")
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if absent(value) {
			continue
		}
		if len(c.Ext) == maxFields {
			return errFields
		}
		text, err := slowText(value)
		if err != nil {
			return err
		}
		c.Ext = append(c.Ext, Field{key.(string), text})
	}
	return nil
}

// slowText returns a string value itself and everything else as it is written.
func slowText(value json.RawMessage) (string, error) {
	if value[0] != '"' {
		return string(value), nil
	}
	var s string
	err := json.Unmarshal(value, &s)
	return s, err
}

// absent reports whether a member is missing or null.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// languageOrdinal is the language of a number.
func languageOrdinal(n int32) uint8 {
	if n < 0 || int(n) >= len(languages) {
		return LangOther
	}
	return uint8(n)
}
