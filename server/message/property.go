package message

import (
	"iter"
	"strings"
)

// Separators are part of the wire format; do not change.
const (
	nameValueSeparator = 0x01
	propertySeparator  = 0x02
)

// Properties yields the name and value of every property in s, in order.
// Entries without a separator, with an empty name or an empty value are skipped,
// as every client does. The strings are views of s.
func Properties(s string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for s != "" {
			var name, value string
			name, value, s = cutProperty(s)
			if name != "" && !yield(name, value) {
				return
			}
		}
	}
}

// Get returns the value of the last property called name, or "" when there is
// none: an empty value is the same as none.
func Get(s, name string) string {
	found := ""
	for s != "" {
		var n, v string
		if n, v, s = cutProperty(s); n == name && n != "" {
			found = v
		}
	}
	return found
}

// cutProperty returns the first entry of s and what is left. An entry that
// readers skip comes back with an empty name.
func cutProperty(s string) (name, value, rest string) {
	entry := s
	if i := strings.IndexByte(s, propertySeparator); i >= 0 {
		entry, rest = s[:i], s[i+1:]
	}
	i := strings.IndexByte(entry, nameValueSeparator)
	if i <= 0 || i == len(entry)-1 {
		return "", "", rest
	}
	return entry[:i], entry[i+1:], rest
}

// AppendProperty appends one property with its trailing separator. What readers
// would skip or misread is not written: an empty name or value, a name that
// holds a separator, a value that holds the property separator.
func AppendProperty(dst []byte, name, value string) []byte {
	if name == "" || value == "" || strings.IndexByte(value, propertySeparator) >= 0 ||
		strings.IndexByte(name, nameValueSeparator) >= 0 || strings.IndexByte(name, propertySeparator) >= 0 {
		return dst
	}
	dst = append(dst, name...)
	dst = append(dst, nameValueSeparator)
	dst = append(dst, value...)
	return append(dst, propertySeparator)
}

// AppendFiltered appends the properties of s for which keep returns true, each
// with its trailing separator. A nil keep takes all of them, which normalises s.
func AppendFiltered(dst []byte, s string, keep func(name string) bool) []byte {
	for name, value := range Properties(s) {
		if keep == nil || keep(name) {
			dst = AppendProperty(dst, name, value)
		}
	}
	return dst
}

// Delete returns s without the named properties, and s itself when it has none
// of them.
func Delete(s string, names ...string) string {
	if !hasAny(s, names) {
		return s
	}
	return string(AppendFiltered(make([]byte, 0, len(s)+1), s, func(name string) bool {
		return !contains(names, name)
	}))
}

// Set returns s with one property called name, holding value. An empty value
// deletes the property.
func Set(s, name, value string) string {
	b := make([]byte, 0, len(s)+len(name)+len(value)+3)
	b = AppendFiltered(b, s, func(n string) bool { return n != name })
	return string(AppendProperty(b, name, value))
}

func hasAny(s string, names []string) bool {
	for name := range Properties(s) {
		if contains(names, name) {
			return true
		}
	}
	return false
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
