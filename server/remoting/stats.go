package remoting

import "sync/atomic"

// CloseReason says why a connection ended.
type CloseReason uint8

// Close reasons.
const (
	ClosePeer       CloseReason = iota // the peer closed or reset it
	CloseLocal                         // Conn.Close was called
	CloseFraming                       // what arrived is not a stream of frames
	CloseIdle                          // no byte in either direction for IdleTimeout
	CloseSilent                        // no whole frame within FirstFrameTimeout
	CloseSlowReader                    // more than MaxOutBytes waiting to be written
	CloseShutdown                      // the server or client shuts down
	CloseReasons                       // how many there are
)

var closeReasons = [CloseReasons]string{
	"peer", "local", "framing", "idle", "silent", "slow_reader", "shutdown",
}

// String returns the reason in a form that fits a metric label.
func (r CloseReason) String() string {
	if r < CloseReasons {
		return closeReasons[r]
	}
	return "unknown"
}

// Stats are the counters of a Server since it was made.
type Stats struct {
	Open       int64 // connections now
	Accepted   uint64
	Refused    uint64 // closed at once because of MaxConns
	Frames     uint64 // frames received
	BadHeaders uint64 // frames whose header was malformed
	BytesIn    uint64
	BytesOut   uint64
	Closed     [CloseReasons]uint64
}

// counters is the live form of Stats.
type counters struct {
	accepted, refused, frames, badHeaders, bytesIn, bytesOut atomic.Uint64

	closed [CloseReasons]atomic.Uint64
}

func (k *counters) snapshot() Stats {
	s := Stats{
		Accepted:   k.accepted.Load(),
		Refused:    k.refused.Load(),
		Frames:     k.frames.Load(),
		BadHeaders: k.badHeaders.Load(),
		BytesIn:    k.bytesIn.Load(),
		BytesOut:   k.bytesOut.Load(),
	}
	for i := range s.Closed {
		s.Closed[i] = k.closed[i].Load()
	}
	return s
}
