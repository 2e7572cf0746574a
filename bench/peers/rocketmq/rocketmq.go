// Package rocketmq drives Apache RocketMQ and its timer store: a name server and
// a broker, each in a Java virtual machine of its own, and the same client with
// which duelog is measured.
//
// There are two systems. "rocketmq" has the timer step that RocketMQ comes with,
// a second; "rocketmq-100ms" has the smallest that it takes. The timer never fires
// early: it rounds down to a step and fires a step later.
//
// Durable is flushDiskType=SYNC_FLUSH. It holds for the acknowledged message; the
// copy that is made when it fires is flushed later, as RocketMQ does it. Stock is
// ASYNC_FLUSH, the default.
//
// Apart from addresses and paths these settings differ from the defaults:
//
//	timerMaxDelaySec=31622400         366 days; the default of 3 refuses more
//	waitTimeMillsInSendQueue=30000    a send may wait instead of being refused after 200 ms
//	diskMaxUsedSpaceRatio=95          messages are not deleted because others fill the disk
//
// A message is a request of its own, because RocketMQ does not schedule batches.
package rocketmq

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/child"
	"github.com/duelog/duelog/bench/peers/install"
	"github.com/duelog/duelog/bench/wire"
	"github.com/duelog/duelog/server/remoting"
)

// topicName is the one topic of a run.
const topicName = "bench"

// System implements bench.System, bench.Statser and bench.Grouper.
type System struct {
	name      string
	step      time.Duration
	mode      bench.Mode
	java      install.Program
	classPath string

	dir        string
	nameServer *child.Process
	broker     *child.Process
	address    string // of the broker
	ports      ports
	topic      *wire.Topic
}

// ports are chosen once, so that a restarted broker is where it was.
type ports struct{ nameServer, broker int }

// New is the bench.Constructor of "rocketmq".
func New(m bench.Mode) (bench.System, error) { return newSystem("rocketmq", time.Second, m) }

// New100ms is the bench.Constructor of "rocketmq-100ms".
func New100ms(m bench.Mode) (bench.System, error) {
	return newSystem("rocketmq-100ms", 100*time.Millisecond, m)
}

func newSystem(name string, step time.Duration, m bench.Mode) (bench.System, error) {
	java, classPath, err := install.RocketMQ()
	if err != nil {
		return nil, err
	}
	return &System{name: name, step: step, mode: m, java: java, classPath: classPath}, nil
}

// Name returns "rocketmq" or "rocketmq-100ms".
func (s *System) Name() string { return s.name }

// Start implements bench.System.
func (s *System) Start(ctx context.Context, dir string) error {
	s.dir = dir
	if err := s.choosePorts(); err != nil {
		return err
	}
	if err := s.writeConfig(); err != nil {
		return err
	}
	if err := s.Restart(ctx); err != nil {
		return err
	}
	topic, err := wire.Create(ctx, wire.Options{Addr: s.address, Topic: topicName})
	s.topic = topic
	return err
}

// choosePorts also leaves the port 2 below the broker's free, where it listens
// for its VIP clients.
func (s *System) choosePorts() (err error) {
	if s.ports.nameServer, err = child.FreePort(0); err != nil {
		return err
	}
	if s.ports.broker, err = child.FreePort(2); err != nil {
		return err
	}
	s.address = child.Address(s.ports.broker)
	return nil
}

// NameServer returns the address of the name server, HOST:PORT.
func (s *System) NameServer() string { return child.Address(s.ports.nameServer) }

// Restart implements bench.System.
func (s *System) Restart(ctx context.Context) (err error) {
	s.nameServer, err = s.launch("namesrv", "256m", "org.apache.rocketmq.namesrv.NamesrvStartup")
	if err != nil {
		return err
	}
	address := child.Address(s.ports.nameServer)
	err = s.nameServer.Await(ctx, func(ctx context.Context) error {
		return answers(ctx, address, remoting.ReqGetNamesrvConfig)
	})
	if err != nil {
		return err
	}
	s.broker, err = s.launch("broker", "2g", "org.apache.rocketmq.broker.BrokerStartup")
	if err != nil {
		return err
	}
	return s.broker.Await(ctx, func(ctx context.Context) error {
		return answers(ctx, s.address, remoting.ReqGetBrokerRuntimeInfo)
	})
}

// launch starts a virtual machine with the configuration of that name.
func (s *System) launch(name, heap, class string) (*child.Process, error) {
	return child.Start(child.Options{
		Path: s.java.Path,
		Args: []string{
			"-Xms" + heap, "-Xmx" + heap, "-XX:+UseG1GC",
			"-Duser.home=" + s.dir, "-Drocketmq.home.dir=" + s.dir, "-Djava.io.tmpdir=" + s.dir,
			// Netty and the store reach into classes that Java keeps closed.
			"--add-exports", "java.base/jdk.internal.ref=ALL-UNNAMED",
			"--add-exports", "java.base/sun.nio.ch=ALL-UNNAMED",
			"--add-opens", "java.base/java.nio=ALL-UNNAMED",
			"-cp", s.classPath, class, "-c", s.configPath(name),
		},
		Env: []string{"ROCKETMQ_HOME=" + s.dir, "NAMESRV_ADDR="},
		Dir: s.dir,
		Log: filepath.Join(s.dir, name+".log"),
	})
}

// answers sends a request that any server of the kind answers when it is ready.
func answers(ctx context.Context, address string, code int32) error {
	_, err := ask(ctx, address, code)
	return err
}

// ask sends a request without fields and returns the body of the answer.
func ask(ctx context.Context, address string, code int32) ([]byte, error) {
	client, err := remoting.Dial(ctx, address, nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	reply, err := client.Invoke(ctx, remoting.NewRequest(code))
	if err != nil {
		return nil, err
	}
	if reply.Code != remoting.RespSuccess {
		return nil, fmt.Errorf("%s answers with code %d: %s", address, reply.Code, reply.Remark)
	}
	return reply.Body, nil
}

// Info implements bench.System.
func (s *System) Info() bench.Info {
	ack := "SYNC_FLUSH: log flushed before the reply"
	if s.mode == bench.Stock {
		ack = "ASYNC_FLUSH: after write to the mapping, flushed every 500 ms"
	}
	return bench.Info{
		Version: "Apache RocketMQ " + install.RocketMQVersion,
		Ack:     ack,
		Settings: fmt.Sprintf("timerPrecisionMs=%d %s; broker heap 2 GiB",
			s.step.Milliseconds(), strings.Join(settings, " ")),
		Resolution: s.step,
	}
}

// Place implements bench.System.
func (s *System) Place() bench.Place { return bench.Children }

// PIDs implements bench.System.
func (s *System) PIDs() []int { return []int{s.broker.PID(), s.nameServer.PID()} }

// ProcessNames implements bench.Named.
func (s *System) ProcessNames() []string { return []string{"broker", "nameserver"} }

// Subscribe implements bench.System.
func (s *System) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	return s.SubscribeGroup(ctx, "bench", deliver)
}

// SubscribeGroup implements bench.Grouper.
func (s *System) SubscribeGroup(
	ctx context.Context, group string, deliver func([]byte, time.Time),
) (func(), error) {
	stop, err := s.topic.Subscribe(ctx, group, deliver)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return sync.OnceFunc(stop), nil
}

// Stats implements bench.Statser with the timer's counter of the topic. It counts
// what the timer has taken over, some milliseconds after the acknowledgement.
func (s *System) Stats(ctx context.Context) (bench.Stats, error) {
	body, err := ask(ctx, s.address, remoting.ReqGetTimerMetrics)
	if err != nil {
		return bench.Stats{}, err
	}
	var metrics struct {
		TimingCount map[string]struct {
			Count int64 `json:"count"`
		} `json:"timingCount"`
	}
	if err := json.Unmarshal(body, &metrics); err != nil {
		return bench.Stats{}, fmt.Errorf("read the timer's counters: %w", err)
	}
	return bench.Stats{Pending: metrics.TimingCount[topicName].Count, StoredBytes: -1}, nil
}

// Kill9 implements bench.System.
func (s *System) Kill9() error {
	var errs []error
	for _, p := range []*child.Process{s.broker, s.nameServer} {
		if p != nil {
			errs = append(errs, p.Kill())
		}
	}
	return errors.Join(errs...)
}

// Close implements bench.System.
func (s *System) Close() error { return s.Kill9() }

func (s *System) configPath(name string) string { return filepath.Join(s.dir, name+".conf") }

// settings are those of the broker that differ from the defaults in both modes.
var settings = []string{
	"timerMaxDelaySec=31622400",
	"waitTimeMillsInSendQueue=30000",
	"diskMaxUsedSpaceRatio=95",
}

func (s *System) writeConfig() error {
	nameServer := []string{
		"bindAddress=" + child.Loopback,
		fmt.Sprintf("listenPort=%d", s.ports.nameServer),
		"kvConfigPath=" + filepath.Join(s.dir, "namesrv", "kvConfig.json"),
		"configStorePath=" + filepath.Join(s.dir, "namesrv", "namesrv.properties"),
	}
	flush := "SYNC_FLUSH"
	if s.mode == bench.Stock {
		flush = "ASYNC_FLUSH"
	}
	broker := append([]string{
		"brokerClusterName=DefaultCluster",
		"brokerName=broker-a",
		"brokerId=0",
		"brokerIP1=" + child.Loopback,
		"bindAddress=" + child.Loopback,
		fmt.Sprintf("listenPort=%d", s.ports.broker),
		"namesrvAddr=" + child.Address(s.ports.nameServer),
		"storePathRootDir=" + filepath.Join(s.dir, "store"),
		"storePathCommitLog=" + filepath.Join(s.dir, "store", "commitlog"),
		"flushDiskType=" + flush,
		fmt.Sprintf("timerPrecisionMs=%d", s.step.Milliseconds()),
	}, settings...)
	return errors.Join(writeLines(s.configPath("namesrv"), nameServer), writeLines(s.configPath("broker"), broker))
}

func writeLines(path string, lines []string) error {
	return os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}
