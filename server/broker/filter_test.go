package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
)

func TestFilterPassesTheTagsItNames(t *testing.T) {
	tag := func(s string) uint32 { return uint32(message.Hash(s)) }
	for _, c := range []struct {
		expression string
		passes     []string
		stops      []string
	}{
		{"*", []string{"a", "", "b"}, nil},
		{"", []string{"a", ""}, nil},
		{" * ", []string{"a", ""}, nil},
		{"a", []string{"a"}, []string{"b", ""}},
		{"a||b", []string{"a", "b"}, []string{"c", ""}},
		{"  a  || b|| ", []string{"a", "b"}, []string{"c", ""}},
		{"a || *", []string{"a", "z"}, nil},
		{"标签", []string{"标签"}, []string{"a"}},
	} {
		f, err := parseFilter(c.expression, "TAG")
		require.NoError(t, err)
		for _, s := range c.passes {
			require.True(t, f.match(tag(s)), "%q passes %q", c.expression, s)
		}
		for _, s := range c.stops {
			require.False(t, f.match(tag(s)), "%q stops %q", c.expression, s)
		}
	}
}

func TestFilterLanguageOtherThanTagIsRefused(t *testing.T) {
	_, err := parseFilter("a > 5", "SQL92")
	require.ErrorIs(t, err, errFilterType)
	_, err = parseFilter("a", "")
	require.NoError(t, err)
}
