package server

import (
	"bytes"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func exampleBanner(c *Config) *banner {
	return &banner{
		cfg: c, dataDir: "/var/lib/duelog", pending: 12, openTime: 3 * time.Millisecond, processID: 4711,
		addrs: Addrs{Broker: "127.0.0.1:10911", VIP: "127.0.0.1:10909", Namesrv: "127.0.0.1:9876", Admin: "127.0.0.1:5557", Advertised: "127.0.0.1:10911"},
	}
}

func TestTheBannerSaysAddressesPromiseAndHowToStop(t *testing.T) {
	c := DefaultConfig()
	var out bytes.Buffer
	require.NoError(t, exampleBanner(&c).write(&out))
	for _, want := range []string{
		"127.0.0.1:10911 (VIP 127.0.0.1:10909)\n", "127.0.0.1:9876  <-", "http://127.0.0.1:5557/metrics",
		"/var/lib/duelog (12 pending, opened in 3ms)", "survives kill -9 and power loss", "kill -TERM 4711",
	} {
		require.Contains(t, out.String(), want)
	}
}

func TestTheBannerSaysTheLossWindowOfAsyncFlush(t *testing.T) {
	c := DefaultConfig()
	c.Flush, c.FlushEvery = FlushAsync, time.Second
	var out bytes.Buffer
	require.NoError(t, exampleBanner(&c).write(&out))
	require.Contains(t, out.String(), "loses up to the last 1s")
}

func TestTheBannerShowsWhatDiffersFromTheUsual(t *testing.T) {
	c := DefaultConfig()
	c.Pprof = true
	b := exampleBanner(&c)
	b.addrs.Advertised, b.addrs.Namesrv = "192.0.2.7:10911", ""
	var out bytes.Buffer
	require.NoError(t, b.write(&out))
	require.Contains(t, out.String(), "clients are told 192.0.2.7:10911")
	require.Contains(t, out.String(), "name server  192.0.2.7:10911")
	require.Contains(t, out.String(), "/debug/pprof/")
}

func TestMachinesGetTheBannerAsOneRecord(t *testing.T) {
	c := DefaultConfig()
	var out bytes.Buffer
	exampleBanner(&c).log(slog.New(slog.NewJSONHandler(&out, nil)))
	require.Contains(t, out.String(), `"msg":"ready"`)
	require.Contains(t, out.String(), `"broker":"127.0.0.1:10911"`)
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte{'\n'}))
}
