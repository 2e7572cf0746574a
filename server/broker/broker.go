package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// handlerFunc serves one request code. It runs on the reader goroutine of c;
// cmd and everything in it is valid until it returns.
type handlerFunc func(b *Broker, c *remoting.Conn, cmd *remoting.Command)

// handlers is the table of served request codes, one table per side.
var handlers = mergeTables(consumerHandlers, adminHandlers, producerHandlers)

func mergeTables(tables ...map[int32]handlerFunc) map[int32]handlerFunc {
	all := make(map[int32]handlerFunc)
	for _, table := range tables {
		for code, h := range table {
			if all[code] != nil {
				panic(fmt.Sprintf("BUG: request code %d has two handlers", code))
			}
			all[code] = h
		}
	}
	return all
}

// Broker serves the broker's request codes over one store. It is a
// remoting.Handler. All methods may be called concurrently.
type Broker struct {
	store   *store.Store
	opts    Options
	log     *slog.Logger
	metrics *metrics
	topics  *topics
	groups  *groups
	offsets *offsets
	clients *clients
	locks   *locks
	hold    *hold
	prod    *producerSide
	rates   rates

	started time.Time // when New was called

	damagedLines refusalLines // a damaged file must not fill the disk with log lines
	joinLines    refusalLines // nor may groups that clients make up

	ctx       context.Context // ends with Close; background goroutines stop by it
	stop      context.CancelFunc
	wg        sync.WaitGroup // background goroutines
	closeOnce sync.Once
	closeErr  error
}

// New returns a broker over st whose topics, groups and consumer offsets live
// as JSON files in configDir, which is created when missing. A file that is
// damaged and has no good backup is an error: starting without it would make
// consumers begin anew. The store stays the caller's to close, after the broker.
func New(st *store.Store, configDir string, o *Options) (*Broker, error) {
	opts := o.ensureDefaults()
	if err := opts.validate(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(configDir, 0o755); err != nil {
		return nil, fmt.Errorf("create config directory: %w", err)
	}
	b := &Broker{store: st, opts: opts, log: opts.Logger, metrics: newMetrics(&opts), locks: newLocks(), started: time.Now()}
	b.ctx, b.stop = context.WithCancel(context.Background())
	b.clients = newClients()
	b.hold = newHold(b.opts.MaxHeldPulls, b.metrics)
	if err := b.start(configDir); err != nil {
		b.stop()
		b.wg.Wait()
		b.metrics.unregister()
		return nil, err
	}
	return b, nil
}

// start loads what was saved and begins the background work.
func (b *Broker) start(configDir string) (err error) {
	if err := b.load(configDir); err != nil {
		return err
	}
	if b.prod, err = newProducerSide(b); err != nil {
		return fmt.Errorf("start producer side: %w", err)
	}
	if b.metrics.watch(b); b.metrics.err != nil {
		return fmt.Errorf("register metrics: %w", errors.Join(b.metrics.err, b.prod.close()))
	}
	b.spawn(b.hold.runDeadlines)
	for range holdWorkers {
		b.spawn(b.hold.runWoken)
	}
	b.spawn(b.runOffsets)
	b.spawn(b.runExpiry)
	b.spawn(b.runRates)
	return nil
}

// load reads the three config files.
func (b *Broker) load(configDir string) (err error) {
	if b.topics, err = loadTopics(b, configDir); err != nil {
		return fmt.Errorf("load topics: %w", err)
	}
	if b.groups, err = loadGroups(b, configDir); err != nil {
		return fmt.Errorf("load consumer groups: %w", err)
	}
	if b.offsets, err = loadOffsets(b, configDir); err != nil {
		return fmt.Errorf("load consumer offsets: %w", err)
	}
	return nil
}

// spawn runs f on its own goroutine until the broker closes; Close waits for it.
func (b *Broker) spawn(f func(ctx context.Context)) {
	b.wg.Go(func() { f(b.ctx) })
}

// Handle serves one request; it implements remoting.Handler.
func (b *Broker) Handle(c *remoting.Conn, cmd *remoting.Command) {
	h := handlers[cmd.Code]
	if h == nil {
		b.reply(c, cmd, remoting.RespRequestCodeNotSupported, fmt.Sprintf(" request type %d not supported", cmd.Code))
		return
	}
	h(b, c, cmd)
}

// Serves tells whether the broker has a handler for a request code, for a
// listener that it shares with a name server.
func (b *Broker) Serves(code int32) bool { return handlers[code] != nil }

// Closed forgets everything that belonged to a connection; it implements
// remoting.Handler.
func (b *Broker) Closed(c *remoting.Conn) {
	b.hold.dropConn(c)
	b.notifyAll(b.clients.dropConn(c))
}

// Drain answers the held pulls now and lets no other wait, so that connections
// can be drained of the answers they are owed. Everything else goes on.
func (b *Broker) Drain() { b.hold.close() }

// Close does what Drain does, stops the background work and writes the consumer
// offsets. What is committed after it is lost, so requests should have stopped
// before.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		b.Drain()
		b.stop()
		b.wg.Wait()
		b.closeErr = errors.Join(b.prod.close(), b.offsets.save())
		b.metrics.unregister()
	})
	return b.closeErr
}
