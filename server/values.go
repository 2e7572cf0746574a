package server

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// day is the unit that time.ParseDuration lacks.
const day = 24 * time.Hour

// durationValue is a pflag.Value for a time.Duration that also knows days.
type durationValue time.Duration

// Set parses "500ms", "72h", "366d" or "1d12h".
func (v *durationValue) Set(s string) error {
	d, err := parseDuration(s)
	if err != nil {
		return err
	}
	*v = durationValue(d)
	return nil
}

func (v *durationValue) String() string { return formatDuration(time.Duration(*v)) }

// Type is the word that the help text shows for the value.
func (v *durationValue) Type() string { return "duration" }

func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is not a duration; write it like 500ms, 72h or 366d", s)
	var total time.Duration
	rest := s
	if n, after, ok := strings.Cut(s, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 32)
		if err != nil || days > math.MaxInt64/uint64(day) {
			return 0, bad
		}
		total, rest = time.Duration(days)*day, after
		if rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || total > math.MaxInt64-d {
		return 0, bad
	}
	return total + d, nil
}

func formatDuration(d time.Duration) string {
	if d > 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizeValue is a pflag.Value for a number of bytes with IEC units.
type sizeValue int64

var sizeUnits = []struct {
	suffix string
	bytes  int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// Set parses "1GiB", "4MiB", "64KiB", "512B" or a plain number of bytes.
func (v *sizeValue) Set(s string) error {
	number, unit := s, int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(s, u.suffix); ok {
			number, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return fmt.Errorf("%q is not a size; write it like 64KiB, 4MiB or 1GiB", s)
	}
	*v = sizeValue(n * unit)
	return nil
}

func (v *sizeValue) String() string { return formatSize(int64(*v)) }

// Type is the word that the help text shows for the value.
func (v *sizeValue) Type() string { return "size" }

func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 {
			return strconv.FormatInt(n/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}

// percentValue is a pflag.Value for a number of percent.
type percentValue int64

// Set parses "80%" or "80".
func (v *percentValue) Set(s string) error {
	n, err := strconv.ParseUint(strings.TrimSuffix(s, "%"), 10, 7)
	if err != nil {
		return fmt.Errorf("%q is not a percentage; write it like 80%%", s)
	}
	*v = percentValue(n)
	return nil
}

func (v *percentValue) String() string { return strconv.FormatInt(int64(*v), 10) + "%" }

// Type is the word that the help text shows for the value.
func (v *percentValue) Type() string { return "percent" }

// textValue is a pflag.Value for a string whose kind the help text shows.
type textValue struct {
	text *string
	kind string
}

// Set accepts any text; Config.Validate looks at it in its context.
func (v textValue) Set(s string) error {
	*v.text = s
	return nil
}

func (v textValue) String() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// Type is the word that the help text shows for the value.
func (v textValue) Type() string { return v.kind }

// choiceValue is a pflag.Value for one word out of a few.
type choiceValue struct {
	word    *string
	allowed []string
}

// Set accepts one of the allowed words, in any case.
func (v choiceValue) Set(s string) error {
	for _, w := range v.allowed {
		if strings.EqualFold(s, w) {
			*v.word = w
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", s, strings.Join(v.allowed, ", "))
}

func (v choiceValue) String() string {
	if v.word == nil {
		return ""
	}
	return *v.word
}

// Type is the word that the help text shows for the value.
func (v choiceValue) Type() string { return strings.Join(v.allowed, "|") }
