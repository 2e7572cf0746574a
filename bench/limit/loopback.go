package limit

import (
	"io"
	"net"
)

func readFull(c net.Conn, buf []byte) (int, error) { return io.ReadFull(c, buf) }

// loopback returns one end of a TCP connection whose other end does work with
// every size bytes that come and sends them back. stop ends both and waits.
func loopback(work func([]byte) error, size int) (near net.Conn, stop func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		return nil, nil, err
	}
	far, err := l.Accept()
	if err != nil {
		near.Close()
		return nil, nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		buf := make([]byte, size)
		for {
			if _, err := readFull(far, buf); err != nil || work(buf) != nil {
				return
			}
			if _, err := far.Write(buf); err != nil {
				return
			}
		}
	}()
	return near, func() { near.Close(); <-done }, nil
}
