package message

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func collect(s string) (all []string) {
	for name, value := range Properties(s) {
		all = append(all, name+"="+value)
	}
	return all
}

func TestPropertiesReadsWhatClientsWrite(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"empty":              {"", nil},
		"with last 0x02":     {"KEYS\x01k\x02TAGS\x01TagA\x02", []string{"KEYS=k", "TAGS=TagA"}},
		"without last 0x02":  {"KEYS\x01k\x02TAGS\x01TagA", []string{"KEYS=k", "TAGS=TagA"}},
		"empty value":        {"KEYS\x01\x02TAGS\x01TagA\x02", []string{"TAGS=TagA"}},
		"empty name":         {"\x01v\x02TAGS\x01TagA\x02", []string{"TAGS=TagA"}},
		"no value separator": {"KEYS\x02TAGS\x01TagA\x02", []string{"TAGS=TagA"}},
		"0x01 in a value":    {"A\x01b\x01c\x02", []string{"A=b\x01c"}},
		"only separators":    {"\x01\x02\x02\x01", nil},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, collect(c.in)) })
	}
}

func TestGetReturnsTheLastOfEqualNames(t *testing.T) {
	s := "A\x011\x02B\x012\x02A\x013"
	require.Equal(t, "3", Get(s, "A"))
	require.Equal(t, "2", Get(s, "B"))
	require.Empty(t, Get(s, "C"))
	require.Empty(t, Get(s, ""))
	require.Equal(t, "1", Get("A\x011\x02A\x01\x02", "A"), "an empty value is none")
}

func TestAppendPropertyWritesNothingThatReadersWouldMisread(t *testing.T) {
	for _, c := range [][2]string{{"", "v"}, {"n", ""}, {"n\x01", "v"}, {"n\x02", "v"}, {"n", "v\x02x\x01y"}} {
		require.Empty(t, AppendProperty(nil, c[0], c[1]))
	}
	require.Equal(t, "n\x01v\x01w\x02", string(AppendProperty(nil, "n", "v\x01w")))
}

func TestSetReplacesAndDeleteRemoves(t *testing.T) {
	s := "A\x011\x02B\x012\x02A\x013"
	require.Equal(t, "B\x012\x02A\x019\x02", Set(s, "A", "9"))
	require.Equal(t, "B\x012\x02", Set(s, "A", ""))
	require.Equal(t, "B\x012\x02", Delete(s, "A", "C"))
	require.Equal(t, s, Delete(s, "C"))
}

func FuzzProperties(f *testing.F) {
	f.Add("KEYS\x01k\x02TAGS\x01TagA", "TAGS")
	f.Add("\x01\x02\x02A\x01\x01\x02", "A")
	f.Fuzz(func(t *testing.T, s, name string) {
		want := collect(s)
		normal := string(AppendFiltered(nil, s, nil))
		require.Equal(t, want, collect(normal))
		last := ""
		for n, v := range Properties(s) {
			if n == name {
				last = v
			}
		}
		require.Equal(t, last, Get(s, name))
		for n := range Properties(Delete(s, name)) {
			require.NotEqual(t, name, n)
		}
	})
}

func BenchmarkGet(b *testing.B) {
	s := "KEYS\x01key-a1\x02UNIQ_KEY\x01FD000000000000000000000000000002231430946E09723F8C8D0000\x02WAIT\x01true\x02TAGS\x01TagA\x02TIMER_DELIVER_MS\x011795407967375\x02"
	b.SetBytes(int64(len(s)))
	b.ReportAllocs()
	for b.Loop() {
		_ = Get(s, PropTimerDeliverMs)
	}
}
