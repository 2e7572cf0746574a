package child

import (
	"context"
	"fmt"
	"net"
	"strconv"
)

// Loopback is the only address that children listen on.
const Loopback = "127.0.0.1"

// Address returns the loopback address with the given port.
func Address(port int) string { return net.JoinHostPort(Loopback, strconv.Itoa(port)) }

// FreePort returns a port such that it and the below ports under it are free on
// loopback. Another process may take one before the child does; the child then
// says so.
func FreePort(below int) (int, error) {
	for range 100 {
		port, err := freeAt(0)
		if err != nil {
			return 0, err
		}
		if allFree(port-below, port-1) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("find %d free ports on %s: none", below+1, Loopback)
}

func allFree(from, to int) bool {
	for port := from; port <= to; port++ {
		if _, err := freeAt(port); err != nil {
			return false
		}
	}
	return true
}

// freeAt listens for a moment; port 0 lets the kernel choose.
func freeAt(port int) (int, error) {
	l, err := net.Listen("tcp", Address(port))
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Dial connects to a port on loopback.
func Dial(ctx context.Context, port int) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", Address(port))
}
