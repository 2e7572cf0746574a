package broker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTopicsSurviveARestart(t *testing.T) {
	st, dir := openStore(t), t.TempDir()
	b := newBroker(t, st, dir, nil)
	require.NoError(t, b.topics.Update(&topicConfig{Name: "orders", ReadQueues: 3, WriteQueues: 2, Perm: permRead, Attributes: map[string]string{"message.type": "DELAY"}}))
	require.NoError(t, b.Close())

	b = newBroker(t, st, dir, nil)
	topic, ok := b.topics.Lookup("orders")
	require.True(t, ok)
	require.Equal(t, []int32{3, 2, permRead}, []int32{topic.ReadQueues, topic.WriteQueues, topic.Perm})
	require.Equal(t, "DELAY", topic.Attributes["message.type"])
	require.False(t, topic.Writable())
}

func TestSystemTopicsExistAndAreNotSaved(t *testing.T) {
	dir := t.TempDir()
	b := newBroker(t, openStore(t), dir, nil)
	for _, name := range []string{topicAutoCreate, topicSelfTest, topicBenchmark, DefaultClusterName, DefaultBrokerName, DefaultClusterName + "_REPLY_TOPIC", topicTrace, topicSchedule, topicTimer} {
		topic, ok := b.topics.Lookup(name)
		require.True(t, ok, name)
		require.True(t, topic.System, name)
	}
	_, err := b.topics.Ensure("mine", 1, 1, permRead)
	require.NoError(t, err)
	saved, err := os.ReadFile(filepath.Join(dir, topicsFile))
	require.NoError(t, err)
	require.Contains(t, string(saved), `"mine"`)
	require.NotContains(t, string(saved), topicBenchmark)
}

func TestAutoCreationFollowsItsTemplate(t *testing.T) {
	b := newBroker(t, openStore(t), t.TempDir(), nil)
	topic, err := b.topics.AutoCreate("few", topicAutoCreate, 4)
	require.NoError(t, err)
	require.Equal(t, []int32{4, 4, permRead | permWrite}, []int32{topic.ReadQueues, topic.WriteQueues, topic.Perm})
	topic, err = b.topics.AutoCreate("many", topicAutoCreate, 1000)
	require.NoError(t, err)
	require.EqualValues(t, defaultTopicQueues, topic.WriteQueues, "no more queues than the template has")

	_, err = b.topics.AutoCreate("new", "missing", 4)
	require.ErrorIs(t, err, errNoTopic)
	_, err = b.topics.AutoCreate("new", "few", 4)
	require.ErrorIs(t, err, errNoTopic, "a template must allow it")
	_, err = b.topics.AutoCreate("not valid", topicAutoCreate, 4)
	require.ErrorIs(t, err, errName)

	again, err := b.topics.AutoCreate("few", "missing", 1)
	require.NoError(t, err, "a topic that exists needs no template")
	require.EqualValues(t, 4, again.ReadQueues)
}

func TestAutoCreationCanBeOff(t *testing.T) {
	b := newBroker(t, openStore(t), t.TempDir(), &Options{})
	_, ok := b.topics.Lookup(topicAutoCreate)
	require.False(t, ok, "clients must not find a template")
	_, err := b.topics.AutoCreate("new", DefaultClusterName, 4)
	require.ErrorIs(t, err, errNoTopic)
}

func TestDamagedTopicsFileFallsBackToTheLastGoodOne(t *testing.T) {
	st, dir := openStore(t), t.TempDir()
	b := newBroker(t, st, dir, nil)
	for _, name := range []string{"first", "second"} {
		_, err := b.topics.Ensure(name, 1, 1, permRead)
		require.NoError(t, err)
	}
	require.NoError(t, b.Close())
	path := filepath.Join(dir, topicsFile)
	require.NoError(t, os.WriteFile(path, []byte(`{"topicConfigTable":{"fir`), 0o644))

	b = newBroker(t, st, dir, nil)
	_, ok := b.topics.Lookup("first")
	require.True(t, ok)

	require.NoError(t, b.Close())
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o644))
	require.NoError(t, os.WriteFile(path+".bak", []byte("y"), 0o644))
	_, err := New(st, dir, nil)
	require.ErrorContains(t, err, path)
}

func TestTopicThatCannotBeSavedDoesNotExist(t *testing.T) {
	dir := t.TempDir()
	b := newBroker(t, openStore(t), dir, nil)
	require.NoError(t, os.Mkdir(filepath.Join(dir, topicsFile+".tmp"), 0o755)) // in the way of the new file
	_, err := b.topics.Ensure("orders", 1, 1, permRead)
	require.Error(t, err)
	_, ok := b.topics.Lookup("orders")
	require.False(t, ok)
}

func TestTopicConfigIsChecked(t *testing.T) {
	for name, c := range map[string]*topicConfig{
		"no queues":      newTopicConfig("t", 0, 1, permRead),
		"negative":       newTopicConfig("t", 1, -1, permRead),
		"too many":       newTopicConfig("t", MaxQueues+1, 1, permRead),
		"perm":           newTopicConfig("t", 1, 1, 64),
		"name":           newTopicConfig("t t", 1, 1, permRead),
		"other name":     newTopicConfig("u", 1, 1, permRead),
		"negative perms": newTopicConfig("t", 1, 1, -1),
	} {
		require.Error(t, c.check("t"), name)
	}
	require.NoError(t, newTopicConfig("t", 1, MaxQueues, permAll).check("t"))
}
