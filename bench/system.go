package bench

import (
	"context"
	"errors"
	"time"
)

// Mode is what a System is to promise with an acknowledgement.
type Mode uint8

const (
	// Durable acknowledges what is on the disk: fsync, or the nearest that the
	// system has. Systems are compared with one another in this mode.
	Durable Mode = iota
	// Stock leaves the system's own default, which Info.Ack names.
	Stock
)

// String returns "durable" or "stock".
func (m Mode) String() string {
	if m == Stock {
		return "stock"
	}
	return "durable"
}

// Constructor makes a System that is not started. It is cheap and starts
// nothing; an error says that the system cannot be had on this machine and how
// to get it.
type Constructor func(m Mode) (System, error)

// Systems are the systems that a command can measure, by the name that a user
// types.
type Systems map[string]Constructor

// ErrUnsupported is returned, wrapped, by a System for what it cannot do. A
// workload that needs it is skipped and says so.
var ErrUnsupported = errors.New("not supported by this system")

// System is a scheduler of messages under test. A run calls Start, then opens
// publishers and at most one subscriber, and Close at the end, which it calls
// after a failed Start too. Everything listens on loopback only. The methods are
// called from one goroutine; publishers and deliveries run on their own.
type System interface {
	// Name is that of Systems.
	Name() string
	// Start starts the system with all its files below dir, which exists and is
	// empty, and returns when it takes messages.
	Start(ctx context.Context, dir string) error
	// Info is valid after Start.
	Info() Info
	// Place is where the system lives, and with that what can be read of it. It does
	// not change.
	Place() Place
	// PIDs are the root processes whose CPU time and memory count; descendants
	// are found by the harness. Only those of Children are asked for.
	PIDs() []int
	// Publisher opens publisher n (0, 1, ...): usually a connection of its own.
	Publisher(ctx context.Context, n int, o PublisherOptions) (Publisher, error)
	// Subscribe hands every message that is due, those due before it was called
	// included, to deliver, from any number of goroutines. body is only valid
	// during the call; at is when it arrived here, taken as early as possible. A
	// message is acknowledged to the system after deliver has returned. After stop
	// has returned deliver is not called any more.
	Subscribe(ctx context.Context, deliver func(body []byte, at time.Time)) (stop func(), err error)
	// Kill9 kills all processes with SIGKILL and waits for them. Publishers and
	// subscribers are closed by the harness afterwards and may report errors.
	Kill9() error
	// Restart starts the system again with the files that it had, and returns when
	// it takes messages.
	Restart(ctx context.Context) error
	// Close ends every process and is idempotent; dir is removed by the harness.
	Close() error
}

// Place is where a System lives.
type Place uint8

const (
	// InProcess is this process: its CPU time and memory are those of system and load
	// generator together.
	InProcess Place = iota
	// Children are processes of its own, which PIDs names.
	Children
	// Foreign are processes that are not known here: of their CPU time, memory and
	// files nothing can be said, nor who else keeps the machine busy.
	Foreign
)

// Info describes a started System.
type Info struct {
	// Version is what the system says of itself, without line breaks.
	Version string
	// Ack says what an acknowledgement means: "fdatasync per batch".
	Ack string
	// Settings are those that differ from the default, in one line.
	Settings string
	// Resolution is the step of the system's times; 0 is a millisecond or finer. A
	// driver rounds up to it, so that nothing comes early by design.
	Resolution time.Duration
}

// PublisherOptions are the same for all publishers of a run.
type PublisherOptions struct {
	// Batch is how many messages may share one request, pipeline or commit. 1 sends
	// each on its own as Publish is called; 0 is what suits the system best.
	Batch int
	// Acked is called exactly once for each Publish that returned nil: with nil when
	// the system has acknowledged the message, else with the reason why it has not.
	// Any goroutine may call it; it does not block.
	Acked func(id uint64, err error)
}

// Publisher sends messages. One goroutine uses it, except that Close may be
// called after a failure while Publish blocks.
type Publisher interface {
	// Publish hands over a message and returns without waiting for its
	// acknowledgement; it may block while the system takes no more. A zero due asks
	// for an ordinary message, visible at once; otherwise due has whole milliseconds.
	// body is only valid during the call. id is unique within a run, for systems
	// that need a key; bodies carry it too, so it need not be transported. After an
	// error Acked is not called.
	Publish(id uint64, due time.Time, body []byte) error
	// Flush sends what was collected for a batch and does not wait for
	// acknowledgements. The harness calls it before it pauses.
	Flush() error
	// Close ends the publisher. Messages not acknowledged are reported to Acked.
	Close() error
}

// Stats is what a System says of itself; a negative field is unknown.
type Stats struct {
	// Pending is the number of scheduled messages that have not fired. A count that a
	// crash makes wrong is unknown after it. When it is asked for, all ordinary
	// messages have been delivered.
	Pending int64
	// StoredBytes are the bytes in use on disk. Preallocated space does not count.
	StoredBytes int64
}

// Statser is a System that can count. For one that cannot the harness looks at
// the files.
type Statser interface {
	Stats(ctx context.Context) (Stats, error)
}

// Lister is a System that can show what is pending.
type Lister interface {
	// ListPending calls visit with each message that is pending and its time, soonest
	// first, until visit returns false. body is only valid during the call.
	ListPending(ctx context.Context, visit func(body []byte, due time.Time) bool) error
}

// Finder is a System that can look for a message: a run that misses some asks it about
// the first of them, since a system that lost a message, one that holds it back and a
// subscriber that does not read it look alike.
type Finder interface {
	// Find says in a line, for people, where the message is that was published as id.
	// due is zero if the message was ordinary or its time is not known; is tells it by its
	// body. A ctx that ends may leave the answer open.
	Find(ctx context.Context, id uint64, due time.Time, is func(body []byte) bool) string
}

// Named is a System of several root processes that tells them apart.
type Named interface {
	// ProcessNames are those of PIDs, in their order, each fit to begin the name of a
	// metric: "broker".
	ProcessNames() []string
}

// Simulator is a System that lives by a clock which the harness moves: through years
// in seconds.
type Simulator interface {
	// Simulate is called before Start: the clock stands at from until Advance moves it.
	Simulate(from time.Time)
	// Advance moves the clock and returns when everything that is due by then is
	// visible, and what the system does now and then, such as retention, was done.
	Advance(ctx context.Context, to time.Time) error
	// Weigh returns the bytes that the system's files take, without what is allocated
	// ahead or kept for reuse, and those that it has written since its start, by class
	// of file.
	Weigh(ctx context.Context) (stored int64, written map[string]int64, err error)
}

// Grouper is a System in which several groups of consumers each get every
// message. The group of Subscribe is one of its own.
type Grouper interface {
	SubscribeGroup(ctx context.Context, group string, deliver func(body []byte, at time.Time)) (stop func(), err error)
}
