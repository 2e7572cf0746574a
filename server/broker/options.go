package broker

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duelog/duelog/store"
)

// Options configures a Broker. A nil *Options means every default below with
// both automatic creations on.
type Options struct {
	// ClusterName is the cluster in routes and metrics. Zero: "DefaultCluster".
	ClusterName string
	// BrokerName is the broker in routes, queues and locks. Zero: "broker-a".
	BrokerName string
	// Advertise is the address clients dial; it also goes into every offset
	// message id, by which clients come back. Zero: 127.0.0.1:10911.
	Advertise netip.AddrPort
	// AutoCreateTopic lets a send to an unknown topic create it. Zero: off.
	AutoCreateTopic bool
	// AutoCreateGroup lets an unknown consumer group appear by its first
	// heartbeat or pull. Zero: off.
	AutoCreateGroup bool
	// DefaultTopicQueues is the most queues an automatically created topic
	// gets. Zero: 8.
	DefaultTopicQueues int32
	// MaxMessageSize is the largest accepted body in bytes. Zero: 4 MiB.
	MaxMessageSize int32
	// MaxDelay is how far ahead a message may be scheduled; the store's own limit
	// must not be lower. Zero: store.DefaultMaxDelay.
	MaxDelay time.Duration
	// OffsetsEvery is how often changed consumer offsets are written; a crash
	// makes consumers see again what they acknowledged since. Zero: 5 s.
	OffsetsEvery time.Duration
	// ClientExpiry is after how long without a heartbeat a client no longer
	// counts as a member of its groups. Zero: 120 s.
	ClientExpiry time.Duration
	// MaxHeldPulls bounds the pulls that wait for messages; beyond it a pull that
	// finds nothing is refused, upon which clients pause. Zero: 100,000.
	MaxHeldPulls int
	// Logger receives what an operator should know. Nil: slog.Default().
	Logger *slog.Logger
	// Registerer receives the metrics. Nil: they are counted but not exported.
	Registerer prometheus.Registerer
}

// Defaults of Options.
const (
	DefaultClusterName    = "DefaultCluster"
	DefaultBrokerName     = "broker-a"
	DefaultMaxMessageSize = 4 << 20

	defaultTopicQueues  = 8
	defaultOffsetsEvery = 5 * time.Second
	defaultClientExpiry = 120 * time.Second
	defaultMaxHeldPulls = 100_000
)

var defaultAdvertise = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 10911)

// ensureDefaults returns a copy of o, which may be nil, with every zero field
// replaced by its default.
func (o *Options) ensureDefaults() Options {
	if o == nil {
		o = &Options{AutoCreateTopic: true, AutoCreateGroup: true}
	}
	c := *o
	setDefault(&c.ClusterName, DefaultClusterName)
	setDefault(&c.BrokerName, DefaultBrokerName)
	setDefault(&c.Advertise, defaultAdvertise)
	setDefault(&c.DefaultTopicQueues, defaultTopicQueues)
	setDefault(&c.MaxMessageSize, DefaultMaxMessageSize)
	setDefault(&c.MaxDelay, store.DefaultMaxDelay)
	setDefault(&c.OffsetsEvery, defaultOffsetsEvery)
	setDefault(&c.ClientExpiry, defaultClientExpiry)
	setDefault(&c.MaxHeldPulls, defaultMaxHeldPulls)
	setDefault(&c.Logger, slog.Default())
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate reports the first option that cannot work.
func (o *Options) validate() error {
	if err := checkTopicName(o.BrokerName); err != nil {
		return fmt.Errorf("option BrokerName: %w", err)
	}
	if err := checkTopicName(o.ClusterName); err != nil {
		return fmt.Errorf("option ClusterName: %w", err)
	}
	if o.DefaultTopicQueues < 1 || o.DefaultTopicQueues > MaxQueues {
		return fmt.Errorf("option DefaultTopicQueues: %d is not within 1..%d", o.DefaultTopicQueues, MaxQueues)
	}
	if o.MaxMessageSize < 1 {
		return fmt.Errorf("option MaxMessageSize: %d is not positive", o.MaxMessageSize)
	}
	return nil
}
