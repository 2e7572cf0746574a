package command

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheRevisionIsThatOfGoElseOfTheLinker(t *testing.T) {
	built := func(settings ...debug.BuildSetting) func() (*debug.BuildInfo, bool) {
		return func() (*debug.BuildInfo, bool) { return &debug.BuildInfo{Settings: settings}, true }
	}
	vcs := debug.BuildSetting{Key: "vcs.revision", Value: "abc"}
	require.Equal(t, "abc", revision(built(vcs), "def"))
	require.Equal(t, "abc-modified", revision(built(vcs, debug.BuildSetting{Key: "vcs.modified", Value: "true"}), ""))
	require.Equal(t, "def", revision(built(), "def"))
	require.Equal(t, "unknown", revision(func() (*debug.BuildInfo, bool) { return nil, false }, ""))
}
