package server

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// load runs the sources the way the command does.
func load(t *testing.T, args, environ []string, yaml string) (*Settings, *Config, error) {
	t.Helper()
	s := NewSettings()
	require.NoError(t, s.Flags().Parse(args))
	path := ""
	if yaml != "" {
		path = filepath.Join(t.TempDir(), "duelog.yaml")
		require.NoError(t, os.WriteFile(path, []byte(yaml), 0o644))
	}
	c, err := s.Load(path, environ)
	return s, c, err
}

func TestAStrongerSourceWins(t *testing.T) {
	const file = "flush-every: 1s\n"
	env := []string{"DUELOG_FLUSH_EVERY=2s"}
	arg := []string{"--flush-every=3s"}
	for name, tc := range map[string]struct {
		args, env []string
		yaml      string
		want      time.Duration
		origin    string
	}{
		"default":               {want: 200 * time.Millisecond, origin: "default"},
		"file":                  {yaml: file, want: time.Second, origin: "file "},
		"env over file":         {yaml: file, env: env, want: 2 * time.Second, origin: "env DUELOG_FLUSH_EVERY"},
		"flag over env":         {env: env, args: arg, want: 3 * time.Second, origin: "flag --flush-every"},
		"flag over all":         {yaml: file, env: env, args: arg, want: 3 * time.Second, origin: "flag --flush-every"},
		"flag with the default": {yaml: file, args: []string{"--flush-every=200ms"}, want: 200 * time.Millisecond, origin: "flag --flush-every"},
	} {
		t.Run(name, func(t *testing.T) {
			s, c, err := load(t, tc.args, tc.env, tc.yaml)
			require.NoError(t, err)
			require.Equal(t, tc.want, c.FlushEvery)
			require.Contains(t, s.origin("flush-every"), tc.origin)
		})
	}
}

func TestEverySettingReachesItsFieldFromEverySource(t *testing.T) {
	want := Config{
		Data: "/var/lib/duelog", Listen: "0.0.0.0:20911", NamesrvListen: "0.0.0.0:19876", AdminListen: ":8080",
		Advertise: "192.0.2.7", ClusterName: "c1", BrokerName: "b-1", AutoCreateTopic: false,
		MaxMessageSize: 1 << 20, MaxDelay: 30 * day, FireRate: 5000, MaxOverdue: 5 * time.Second, MaxIndexBacklog: 7,
		MaxSendWait: 2 * time.Second, Flush: FlushAsync, FlushEvery: time.Second,
		Writer: WriterMmap, SegmentSize: 64 << 20, KeyIndex: false, Retention: day, ScheduledRetention: time.Hour,
		RetentionSize: 5 << 30, DiskWarn: 70, DiskRefuse: 85, DiskFree: 2 << 30,
		EvacuateAfter: 12 * time.Hour, EvacuateRate: 100 << 20, PrefetchSize: 0,
		Pprof: true, Demo: false, DrainTimeout: 3 * time.Second, LogLevel: "debug", LogFormat: LogJSON,
	}
	values := map[string]string{
		"data": "/var/lib/duelog", "listen": "0.0.0.0:20911", "namesrv-listen": "0.0.0.0:19876", "admin-listen": ":8080",
		"advertise": "192.0.2.7", "cluster": "c1", "broker-name": "b-1", "auto-create-topic": "false",
		"max-message-size": "1MiB", "max-delay": "30d", "fire-rate": "5000", "max-overdue": "5s", "max-index-backlog": "7",
		"max-send-wait": "2s", "flush": "async", "flush-every": "1s",
		"writer": "mmap", "segment-size": "64MiB", "key-index": "false", "retention": "24h", "scheduled-retention": "1h",
		"retention-size": "5GiB", "disk-warn": "70%", "disk-refuse": "85", "disk-free": "2GiB",
		"evacuate-after": "12h", "evacuate-rate": "100MiB", "prefetch-size": "0B",
		"pprof": "true", "demo": "false", "drain-timeout": "3s", "log-level": "debug", "log-format": "json",
	}
	var args, env []string
	var yaml string
	for name, v := range values {
		args = append(args, "--"+name+"="+v)
		env = append(env, envOfSetting(name)+"="+v)
		yaml += name + ": '" + v + "'\n"
	}
	check := func(s *Settings, c *Config, err error) {
		t.Helper()
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(&want, c))
		require.Len(t, s.origins, len(values), "a setting is missing in this test")
	}
	check(load(t, args, nil, ""))
	check(load(t, nil, env, ""))
	check(load(t, nil, nil, yaml))
}

func TestTheFileIsStrict(t *testing.T) {
	for name, tc := range map[string]struct{ yaml, want string }{
		"unknown key":      {"flush: sync\nflsh-every: 1s\n", `:2: unknown setting "flsh-every"; did you mean "flush-every"?`},
		"other spelling":   {"flush_every: 1s\n", `did you mean "flush-every"?`},
		"nothing like it":  {"replicas: 3\n", "--print-config lists the known ones"},
		"repeated key":     {"flush: sync\nlisten: ':1'\nflush: async\n", `:3: "flush" is already set on line 1`},
		"list":             {"listen: [a, b]\n", "takes one value"},
		"nested":           {"store:\n  flush: sync\n", "unknown setting"},
		"bad value":        {"\n\nretention: soon\n", `:3: retention: "soon" is not a duration`},
		"bad choice":       {"flush: never\n", `"never" is not one of sync, async`},
		"not a mapping":    {"- flush\n", `line 1: expected lines of the form "name: value"`},
		"not yaml":         {"flush: [\n", "yaml"},
		"two documents":    {"flush: sync\n---\nflush: async\n", "more than one YAML document"},
		"all of the above": {"a-typo: 1\nretention: x\n", "not a duration"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, nil, nil, tc.yaml)
			require.ErrorContains(t, err, tc.want)
		})
	}
	for _, empty := range []string{"\n", "# nothing\n", "---\n"} {
		_, _, err := load(t, nil, nil, empty)
		require.NoError(t, err, "%q", empty)
	}
}

func TestAMissingFileSaysWhereThePathCameFrom(t *testing.T) {
	_, err := NewSettings().Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.ErrorContains(t, err, "--config")
}

func TestVariablesOfOthersAreLeftAlone(t *testing.T) {
	_, c, err := load(t, nil, []string{"DUELOG_PORT=tcp://10.0.0.1:80", "DUELOG=1", "LISTEN=x", "NOEQUALS"}, "")
	require.NoError(t, err)
	want := DefaultConfig()
	require.Empty(t, cmp.Diff(&want, c))
}

func TestWrongValuesAreRefusedWithTheNextStep(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"wildcard without advertise":   {[]string{"--listen=0.0.0.0:10911"}, "add --advertise IP"},
		"wildcard by empty host":       {[]string{"--listen=:10911"}, "add --advertise IP"},
		"wildcard of IPv6":             {[]string{"--listen=[::]:10911"}, "add --advertise IP"},
		"advertise a wildcard":         {[]string{"--advertise=0.0.0.0"}, "name one of the machine's own"},
		"advertise a name":             {[]string{"--advertise=broker.example"}, "a name will not do"},
		"listen without port":          {[]string{"--listen=127.0.0.1"}, "HOST:PORT"},
		"port out of range":            {[]string{"--admin-listen=127.0.0.1:70000"}, "0 to 65535"},
		"no room for VIP":              {[]string{"--listen=127.0.0.1:2"}, "VIP listener"},
		"name server on VIP port":      {[]string{"--listen=127.0.0.1:9878"}, "port 9876 too, for the VIP listener, and --namesrv-listen"},
		"admin on VIP port":            {[]string{"--admin-listen=127.0.0.1:10909"}, "and --admin-listen 127.0.0.1:10909 is on that port"},
		"wildcard on VIP port":         {[]string{"--admin-listen=:10909"}, "for the VIP listener"},
		"empty data":                   {[]string{"--data="}, "name a directory"},
		"segment too small":            {[]string{"--segment-size=4MiB"}, "at least 8MiB"},
		"segment not of pages":         {[]string{"--segment-size=104857601"}, "multiple of 4KiB"},
		"message larger than a frame":  {[]string{"--max-message-size=16MiB"}, "frames end at 16MiB"},
		"no message":                   {[]string{"--max-message-size=0"}, "use 1B to"},
		"flush too rare":               {[]string{"--flush-every=1h"}, "use 1ms to 1m"},
		"retention too short":          {[]string{"--retention=1s"}, "use 1m to"},
		"max delay":                    {[]string{"--max-delay=0s"}, "use 1s to 366d"},
		"max delay too long":           {[]string{"--max-delay=367d"}, "use 1s to 366d"},
		"disk refuses before it warns": {[]string{"--disk-warn=95%"}, "warn first"},
		"no free space is enough":      {[]string{"--disk-free=0"}, "at least 1B"},
		"compaction too slow":          {[]string{"--evacuate-rate=4KiB"}, "set --evacuate-after to 0s"},
		"compaction too late":          {[]string{"--evacuate-after=9999d"}, "use 0s to 366d"},
		"too much read ahead":          {[]string{"--prefetch-size=100GiB"}, "use at most 16GiB, or 0B"},
		"cluster name":                 {[]string{"--cluster=a b"}, "use 1 to 64"},
		"pprof without admin":          {[]string{"--pprof", "--admin-listen="}, "set --admin-listen"},
		"demo without topics":          {[]string{"--demo", "--auto-create-topic=false"}, "leave --auto-create-topic on"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := load(t, tc.args, nil, "")
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestZeroTurnsCompactionAndPrefetchOff(t *testing.T) {
	c := DefaultConfig()
	c.EvacuateAfter, c.PrefetchSize = 0, 0
	o := (&Server{cfg: &c}).storeOptions(nil)
	require.Negative(t, o.EvacuateAfter)
	require.Negative(t, o.PrefetchBytes)
	c = DefaultConfig()
	o = (&Server{cfg: &c}).storeOptions(nil)
	require.Equal(t, 6*time.Hour, o.EvacuateAfter)
	require.EqualValues(t, 64<<20, o.PrefetchBytes)
	require.EqualValues(t, 50<<20, o.EvacuateRate)
}

func TestAWrongValueFromElsewhereSaysWhere(t *testing.T) {
	_, _, err := load(t, nil, []string{"DUELOG_LISTEN=0.0.0.0:10911"}, "retention: 1s\n")
	require.ErrorContains(t, err, "--listen was set by env DUELOG_LISTEN")
	require.ErrorContains(t, err, "duelog.yaml:1")
}

func TestPercentagesAreReadWithAndWithoutTheirSign(t *testing.T) {
	var v percentValue
	require.NoError(t, v.Set("7"))
	require.NoError(t, v.Set("85%"))
	require.Equal(t, "85%", v.String())
	for _, bad := range []string{"", "high", "-1", "80%%", "300"} {
		require.ErrorContains(t, v.Set(bad), "write it like 80%", bad)
	}
}

func TestUsableAddressesPass(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"--listen=127.0.0.1:0", "--namesrv-listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"},
		{"--namesrv-listen=", "--admin-listen="},
		{"--namesrv-listen=127.0.0.2:10909"},
		{"--listen=0.0.0.0:10911", "--advertise=192.0.2.7"},
		{"--listen=[::]:10911", "--advertise=[2001:db8::1]:30911"},
	} {
		_, _, err := load(t, args, nil, "")
		require.NoError(t, err, args)
	}
}

func TestPrintConfigShowsValuesAndOrigins(t *testing.T) {
	s := NewSettings()
	require.NoError(t, s.Flags().Parse([]string{"--flush=async", "--demo"}))
	_, err := s.Load("testdata/duelog.yaml", []string{"DUELOG_DATA=/var/lib/duelog", "DUELOG_CLUSTER=7"})
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, s.Print(&out))
	golden(t, "testdata/print-config.golden", out.Bytes())
}

func TestPrintedConfigIsAConfigFile(t *testing.T) {
	s, c, err := load(t, []string{"--advertise=192.0.2.7:1", "--cluster=7", "--admin-listen=", "--retention=90m", "--pprof=false", "--demo"}, nil, "")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, s.Print(&out))
	_, again, err := load(t, nil, nil, out.String())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(c, again))
}

// golden compares got with a file that go test -update rewrites.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), string(got)))
}

func FuzzConfigFileNeverPanics(f *testing.F) {
	f.Add([]byte("flush: sync\nretention: 3d\n"))
	f.Add([]byte("a: &x [*x]\n? {}\n: 1\n"))
	f.Add([]byte("- 1\n--- 2\n"))
	f.Add([]byte("<<: {flush: sync}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := NewSettings()
		root, err := parseMapping(data)
		if err == nil {
			_ = s.applyMapping("fuzz.yaml", root)
		}
	})
}
