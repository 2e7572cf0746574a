package remoting

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Serialize is how a header is written; a reply uses the form of its request.
type Serialize uint8

// Header forms: the top byte of the header word.
const (
	JSON   Serialize = 0
	Binary Serialize = 1
)

// Flag bits of a Command.
const (
	FlagResponse int32 = 1 << 0
	FlagOneway   int32 = 1 << 1
)

// Version is what this implementation puts into every header it writes: the
// ordinal of a modern release. Java clients refuse SQL92 filters from brokers
// that answer heartbeats with an old one.
const Version int32 = 513

// Field is one entry of extFields. In a decoded Command both strings are views
// of the frame, valid until the handler returns: strings.Clone what you keep.
type Field struct{ Key, Value string }

// Command is one request or response. The zero value of every field is valid.
// A decoded Command, its strings and its Body are views of the frame.
type Command struct {
	Code      int32 // request or response code; a 16-bit one of the binary form is widened
	Language  uint8 // Lang*
	Version   int32 // of the sender; 0 is written as Version
	Opaque    int32 // pairs a response with its request, per connection and direction
	Flag      int32 // FlagResponse, FlagOneway
	Remark    string
	Serialize Serialize
	Ext       []Field // in the order of the frame; of equal keys the last one counts
	Body      []byte

	// scratch holds the strings that had escapes. Its capacity is reused by the
	// next Decode into this Command.
	scratch []byte
}

// NewRequest returns a request in JSON form with the given extFields.
func NewRequest(code int32, ext ...Field) *Command {
	return &Command{Code: code, Language: LangGo, Version: Version, Ext: ext}
}

// IsResponse reports whether c answers a request.
func (c *Command) IsResponse() bool { return c.Flag&FlagResponse != 0 }

// IsOneway reports whether the sender wants no answer.
func (c *Command) IsOneway() bool { return c.Flag&FlagOneway != 0 }

// Token is what a late answer needs to know about its request.
type Token struct {
	Opaque    int32
	Serialize Serialize
	Oneway    bool
	Code      int32 // of the request
}

// Token returns the token with which c is answered. It holds no view of the frame.
func (c *Command) Token() Token {
	return Token{Opaque: c.Opaque, Serialize: c.Serialize, Oneway: c.IsOneway(), Code: c.Code}
}

// Clone returns a deep copy of c that lives as long as you like.
func (c *Command) Clone() *Command {
	d := *c
	d.scratch = nil
	d.Remark = strings.Clone(c.Remark)
	d.Body = slices.Clone(c.Body)
	d.Ext = slices.Clone(c.Ext)
	for i := range d.Ext {
		d.Ext[i] = Field{strings.Clone(d.Ext[i].Key), strings.Clone(d.Ext[i].Value)}
	}
	return &d
}

// Lookup returns the value of extFields[key] and whether there is one.
func (c *Command) Lookup(key string) (string, bool) {
	for i := len(c.Ext) - 1; i >= 0; i-- {
		if c.Ext[i].Key == key {
			return c.Ext[i].Value, true
		}
	}
	return "", false
}

// Get returns the value of extFields[key], or "" when there is none.
func (c *Command) Get(key string) string {
	v, _ := c.Lookup(key)
	return v
}

// ErrMissingField is wrapped by a FieldError for a key that is not there, or is
// empty where a number or a truth value is needed.
var ErrMissingField = errors.New("missing")

// FieldError says which header field is unusable. Its text is fit for a remark.
type FieldError struct {
	Key   string
	Value string // a copy, shortened to 64 bytes
	Err   error
}

func (e *FieldError) Error() string {
	if errors.Is(e.Err, ErrMissingField) {
		return fmt.Sprintf("header field %s is missing", e.Key)
	}
	return fmt.Sprintf("header field %s: %q is not valid: %v", e.Key, e.Value, e.Err)
}

// Unwrap returns the cause.
func (e *FieldError) Unwrap() error { return e.Err }

func fieldError(key, value string, err error) error {
	var num *strconv.NumError
	if errors.As(err, &num) {
		err = num.Err // its text would repeat the value
	}
	return &FieldError{Key: key, Value: strings.Clone(value[:min(len(value), 64)]), Err: err}
}

// Int32 returns extFields[key] as a number, or a *FieldError.
func (c *Command) Int32(key string) (int32, error) {
	v, err := c.integer(key, 32)
	return int32(v), err
}

// Int64 returns extFields[key] as a number, or a *FieldError.
func (c *Command) Int64(key string) (int64, error) { return c.integer(key, 64) }

// Bool returns extFields[key] as a truth value, or a *FieldError. "true" in any
// case and "1" are true, "false" and "0" are false.
func (c *Command) Bool(key string) (bool, error) {
	v := c.Get(key)
	switch {
	case v == "":
		return false, fieldError(key, v, ErrMissingField)
	case v == "1" || strings.EqualFold(v, "true"):
		return true, nil
	case v == "0" || strings.EqualFold(v, "false"):
		return false, nil
	}
	return false, fieldError(key, v, strconv.ErrSyntax)
}

// Int32Or is Int32 with a default for a missing or empty field.
func (c *Command) Int32Or(key string, def int32) (int32, error) {
	if c.Get(key) == "" {
		return def, nil
	}
	return c.Int32(key)
}

// Int64Or is Int64 with a default for a missing or empty field.
func (c *Command) Int64Or(key string, def int64) (int64, error) {
	if c.Get(key) == "" {
		return def, nil
	}
	return c.Int64(key)
}

// BoolOr is Bool with a default for a missing or empty field.
func (c *Command) BoolOr(key string, def bool) (bool, error) {
	if c.Get(key) == "" {
		return def, nil
	}
	return c.Bool(key)
}

func (c *Command) integer(key string, bits int) (int64, error) {
	s := c.Get(key)
	if s == "" {
		return 0, fieldError(key, s, ErrMissingField)
	}
	v, err := strconv.ParseInt(s, 10, bits)
	if err != nil {
		return 0, fieldError(key, s, err)
	}
	return v, nil
}
