package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

func (c *Config) validateAddresses() error {
	var errs []error
	host, port, err := splitAddress("listen", c.Listen)
	switch {
	case err != nil:
		errs = append(errs, err)
	case port != 0 && port <= vipOffset:
		errs = append(errs, fmt.Errorf("--listen %s: the port must be above %d, because the VIP listener takes the port %d below it", c.Listen, vipOffset, vipOffset))
	case c.Advertise == "" && isWildcard(host):
		errs = append(errs, fmt.Errorf("--listen %s accepts on every address, and clients must be told one that they can reach: add --advertise IP", c.Listen))
	}
	if c.NamesrvListen != "" {
		_, _, err := splitAddress("namesrv-listen", c.NamesrvListen)
		errs = append(errs, err)
	}
	if c.AdminListen != "" {
		_, _, err := splitAddress("admin-listen", c.AdminListen)
		errs = append(errs, err)
	} else if c.Pprof {
		errs = append(errs, errors.New("--pprof is served on the admin address: set --admin-listen, or leave --pprof out"))
	}
	if c.Advertise != "" {
		_, err := parseAdvertise(c.Advertise)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, c.validateVIP())...)
}

// validateVIP reports who else was given the port of the VIP listener, which no
// setting names. Addresses that do not parse are reported elsewhere.
func (c *Config) validateVIP() error {
	host, port, err := splitAddress("listen", c.Listen)
	if err != nil || port <= vipOffset {
		return nil
	}
	var errs []error
	for _, other := range []struct{ flag, address string }{{"namesrv-listen", c.NamesrvListen}, {"admin-listen", c.AdminListen}} {
		otherHost, otherPort, err := splitAddress(other.flag, other.address)
		if err == nil && otherPort == port-vipOffset && shareAddress(host, otherHost) {
			errs = append(errs, fmt.Errorf("--listen %s takes port %d too, for the VIP listener, and --%s %s is on that port: change one of them",
				c.Listen, otherPort, other.flag, other.address))
		}
	}
	return errors.Join(errs...)
}

// shareAddress tells whether listeners on two hosts get into each other's way on
// the same port.
func shareAddress(a, b string) bool { return a == b || isWildcard(a) || isWildcard(b) }

func splitAddress(flag, address string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("--%s %q: write it as HOST:PORT, for example 127.0.0.1:10911", flag, address)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("--%s %q: the port must be a number from 0 to 65535", flag, address)
	}
	return host, int(n), nil
}

func isWildcard(host string) bool {
	if host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}

// parseAdvertise reads IP or IP:PORT; port 0 stands for the listening port.
func parseAdvertise(s string) (netip.AddrPort, error) {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		ip, ipErr := netip.ParseAddr(s)
		if ipErr != nil {
			return netip.AddrPort{}, fmt.Errorf("--advertise %q: write it as IP or IP:PORT; a name will not do, because the message format stores the address as bytes", s)
		}
		ap = netip.AddrPortFrom(ip, 0)
	}
	if ap.Addr().IsUnspecified() {
		return netip.AddrPort{}, fmt.Errorf("--advertise %s: clients cannot connect to this address; name one of the machine's own", s)
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), nil
}
