package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// portAttempts is how often a free pair of ports is looked for when the
// configuration says port 0.
const portAttempts = 50

// listeners are all sockets of the process. Nil for those that the
// configuration leaves out.
type listeners struct {
	broker, vip, namesrv, admin net.Listener
}

// listen acquires every socket or none.
func listen(c *Config) (*listeners, error) {
	ls := &listeners{}
	steps := []func() error{
		func() (err error) { ls.broker, ls.vip, err = listenPair(c.Listen); return err },
		func() (err error) {
			ls.namesrv, err = listenOne("name server", "namesrv-listen", c.NamesrvListen)
			return err
		},
		func() (err error) {
			ls.admin, err = listenOne("admin server", "admin-listen", c.AdminListen)
			return err
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, errors.Join(err, ls.close())
		}
	}
	return ls, nil
}

// wire returns the listeners that speak the RocketMQ protocol.
func (ls *listeners) wire() []net.Listener {
	all := []net.Listener{ls.broker, ls.vip}
	if ls.namesrv != nil {
		all = append(all, ls.namesrv)
	}
	return all
}

// addrs returns the addresses that were taken.
func (ls *listeners) addrs() Addrs {
	text := func(l net.Listener) string {
		if l == nil {
			return ""
		}
		return addrPort(l.Addr()).String()
	}
	return Addrs{Broker: text(ls.broker), VIP: text(ls.vip), Namesrv: text(ls.namesrv), Admin: text(ls.admin)}
}

// close is idempotent: a listener that is closed already is no error.
func (ls *listeners) close() error {
	var errs []error
	for _, l := range []net.Listener{ls.broker, ls.vip, ls.namesrv, ls.admin} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// listenOne returns nil for an empty address.
func listenOne(role, flag, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, &ListenError{Role: role, Flag: flag, Address: address, Err: err}
	}
	return l, nil
}

// listenPair takes the broker's port and the VIP port below it. For port 0 it
// tries pairs until both are free.
func listenPair(address string) (broker, vip net.Listener, err error) {
	_, port, err := splitAddress("listen", address)
	if err != nil {
		return nil, nil, err
	}
	attempts := 1
	if port == 0 {
		attempts = portAttempts
	}
	for range attempts {
		broker, err = listenOne("broker", "listen", address)
		if err != nil {
			return nil, nil, err
		}
		if vip, err = listenOne("broker's VIP listener", "listen", vipAddress(broker.Addr())); err == nil {
			return broker, vip, nil
		}
		err = errors.Join(err, broker.Close())
	}
	return nil, nil, err
}

func vipAddress(broker net.Addr) string {
	a := addrPort(broker)
	return netip.AddrPortFrom(a.Addr(), a.Port()-vipOffset).String()
}

// addrPort returns the address of a TCP listener.
func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// advertised returns the broker address that clients are told.
func advertised(c *Config, broker net.Addr) (netip.AddrPort, error) {
	actual := addrPort(broker)
	if c.Advertise == "" {
		if actual.Addr().IsUnspecified() {
			return netip.AddrPort{}, fmt.Errorf("--listen %s accepts on every address, and clients must be told one that they can reach: add --advertise IP", c.Listen)
		}
		return actual, nil
	}
	a, err := parseAdvertise(c.Advertise)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if a.Port() == 0 {
		a = netip.AddrPortFrom(a.Addr(), actual.Port())
	}
	return a, nil
}

// ListenError says that an address could not be taken.
type ListenError struct {
	Role    string // what would have listened
	Flag    string // the setting that chooses the address, without dashes
	Address string
	Err     error
}

// Error says what to do about it.
func (e *ListenError) Error() string {
	msg := fmt.Sprintf("listen on %s for the %s: %v", e.Address, e.Role, e.Err)
	_, port, err := net.SplitHostPort(e.Address)
	switch {
	case err == nil && errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("%s; find the process that has it with: ss -ltnp 'sport = :%s', or choose another address with --%s", msg, port, e.Flag)
	case errors.Is(e.Err, syscall.EACCES):
		return msg + "; ports below 1024 need privileges: choose a higher one with --" + e.Flag
	default:
		return fmt.Sprintf("%s; choose another address with --%s", msg, e.Flag)
	}
}

// Unwrap returns the system's reason.
func (e *ListenError) Unwrap() error { return e.Err }

// addHolder names the process that has the store open when an address is in use:
// the most frequent reason is that the same command was started before.
func addHolder(err error, dataDir string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	text, readErr := os.ReadFile(filepath.Join(dataDir, "LOCK"))
	pid, parseErr := strconv.Atoi(strings.TrimSpace(string(text)))
	if readErr != nil || parseErr != nil || pid <= 0 || syscall.Kill(pid, 0) != nil {
		return err // Nobody, or a leftover of a process that is gone.
	}
	return fmt.Errorf("%w (process %d last opened the store %s and is alive: perhaps it is the one)", err, pid, dataDir)
}

// dialable turns the address of a listener into one that this machine can
// connect to: a wildcard becomes loopback.
func dialable(a net.Addr) string {
	ap := addrPort(a)
	if !ap.Addr().IsUnspecified() {
		return ap.String()
	}
	host := "127.0.0.1"
	if ap.Addr().Is6() {
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(int(ap.Port())))
}
