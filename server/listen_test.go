package server

import (
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// anywhere is a configuration whose every address is free.
func anywhere(t *testing.T) *Config {
	t.Helper()
	c := DefaultConfig()
	c.Data = t.TempDir()
	c.Listen, c.NamesrvListen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	c.SegmentSize = 16 << 20
	return &c
}

func TestTheVIPListenerIsTwoPortsBelow(t *testing.T) {
	ls, err := listen(anywhere(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, ls.close()) }()
	require.Equal(t, addrPort(ls.broker.Addr()).Port()-vipOffset, addrPort(ls.vip.Addr()).Port())
	require.Len(t, ls.wire(), 3)
}

func TestListenersThatAreSwitchedOffAreNotOpened(t *testing.T) {
	c := anywhere(t)
	c.NamesrvListen, c.AdminListen = "", ""
	ls, err := listen(c)
	require.NoError(t, err)
	defer func() { require.NoError(t, ls.close()) }()
	require.Len(t, ls.wire(), 2)
	require.Equal(t, Addrs{Broker: ls.broker.Addr().String(), VIP: ls.vip.Addr().String()}, ls.addrs())
}

func TestATakenAddressNamesItsRoleAndFlagAndFreesTheOthers(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	address := taken.Addr().String()
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"broker":      {func(c *Config) { c.Listen = address }, "--listen"},
		"VIP":         {func(c *Config) { c.Listen = above(t, address) }, "VIP listener"},
		"name server": {func(c *Config) { c.NamesrvListen = address }, "--namesrv-listen"},
		"admin":       {func(c *Config) { c.AdminListen = address }, "--admin-listen"},
	} {
		t.Run(name, func(t *testing.T) {
			c := anywhere(t)
			tc.change(c)
			_, err := listen(c)
			var le *ListenError
			require.ErrorAs(t, err, &le)
			require.ErrorIs(t, err, syscall.EADDRINUSE)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "ss -ltnp")
			require.Equal(t, ExitListen, ExitCode(err))
		})
	}
}

// above is the broker address whose VIP port is that of address.
func above(t *testing.T, address string) string {
	t.Helper()
	ap, err := netip.ParseAddrPort(address)
	require.NoError(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ap.Port())+vipOffset))
}

func TestClientsAreToldAnAddressTheyCanUse(t *testing.T) {
	on := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	for name, tc := range map[string]struct{ advertise, listening, want string }{
		"the listening one":     {"", "127.0.0.1:1234", "127.0.0.1:1234"},
		"IP with its port":      {"192.0.2.7", "0.0.0.0:1234", "192.0.2.7:1234"},
		"both":                  {"192.0.2.7:30911", "0.0.0.0:1234", "192.0.2.7:30911"},
		"IPv6":                  {"2001:db8::1", "[::]:1234", "[2001:db8::1]:1234"},
		"v4 in v6 becomes v4":   {"::ffff:192.0.2.7", "[::]:1234", "192.0.2.7:1234"},
		"v4 listener of a dual": {"", "[::ffff:127.0.0.1]:1234", "127.0.0.1:1234"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := advertised(&Config{Advertise: tc.advertise}, on(tc.listening))
			require.NoError(t, err)
			require.Equal(t, tc.want, got.String())
		})
	}
	_, err := advertised(&Config{Listen: "localhost:0"}, on("[::]:1234"))
	require.ErrorContains(t, err, "--advertise")
}

func TestTheMachineItselfReachesAWildcardByLoopback(t *testing.T) {
	on := func(s string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(s)) }
	require.Equal(t, "127.0.0.1:5", dialable(on("0.0.0.0:5")))
	require.Equal(t, "[::1]:5", dialable(on("[::]:5")))
	require.Equal(t, "192.0.2.7:5", dialable(on("192.0.2.7:5")))
}
