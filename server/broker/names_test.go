package broker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTopicNamesFollowTheProtocol(t *testing.T) {
	for name, ok := range map[string]bool{
		"orders":                                true,
		"a-b_C|%9":                              true,
		"":                                      false,
		"with space":                            false,
		"with@at":                               false,
		"naïve":                                 false,
		"line\nbreak":                           false,
		strings.Repeat("x", 127):                true,
		strings.Repeat("x", 128):                false,
		retryPrefix + strings.Repeat("g", 120):  true,
		dlqPrefix + strings.Repeat("g", 250):    true,
		retryPrefix + strings.Repeat("g", 1000): false,
	} {
		err := checkTopicName(name)
		if ok {
			require.NoError(t, err, name)
		} else {
			require.ErrorIs(t, err, errName, name)
		}
	}
}

func TestGroupNamesAreShorterThanTopicNames(t *testing.T) {
	require.NoError(t, checkGroupName(strings.Repeat("g", 120)))
	require.ErrorIs(t, checkGroupName(strings.Repeat("g", 121)), errName)
}

func TestRefusedNameSaysWhatIsAllowed(t *testing.T) {
	require.ErrorContains(t, checkTopicName("a b"), "contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")
}
