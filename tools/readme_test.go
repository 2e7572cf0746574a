package tools

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheReadmeNamesTheVerbsThatTalkToBrokersAndMoveMessages(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	for _, v := range verbs {
		if v.group != online && v.group != moving {
			continue
		}
		name := v.make(newEnv(Process{})).Name()
		if name == "topic" || name == "group" {
			name += " delete"
		}
		require.Contains(t, string(b), "`"+name+"`")
	}
}
