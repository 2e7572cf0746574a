package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGroupsSurviveARestart(t *testing.T) {
	st, dir := openStore(t), t.TempDir()
	b := newBroker(t, st, dir, nil)
	_, err := b.groups.Ensure("g")
	require.NoError(t, err)
	changed := defaultGroup("h")
	changed.RetryMaxTimes, changed.ConsumeEnable = 3, false
	require.NoError(t, b.groups.Update(changed))
	require.NoError(t, b.Close())

	b = newBroker(t, st, dir, nil)
	g, ok := b.groups.Lookup("g")
	require.True(t, ok)
	require.Equal(t, defaultGroup("g"), g)
	h, ok := b.groups.Lookup("h")
	require.True(t, ok)
	require.EqualValues(t, 3, h.RetryMaxTimes)
	require.False(t, h.ConsumeEnable)
	require.Equal(t, "%RETRY%h", h.RetryTopic())
}

func TestGroupCreationCanBeOff(t *testing.T) {
	b := newBroker(t, openStore(t), t.TempDir(), &Options{})
	_, err := b.groups.Ensure("g")
	require.ErrorIs(t, err, errNoGroup)
	for _, name := range []string{"TOOLS_CONSUMER", "CID_RMQ_SYS_TRANS"} {
		_, err = b.groups.Ensure(name)
		require.NoError(t, err, "tools work all the same")
	}
	_, err = b.groups.Ensure("g g")
	require.ErrorIs(t, err, errName)
}
