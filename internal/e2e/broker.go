package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readyWithin bounds how long duelogd may take to answer /readyz, and to end
// after a signal. Both take milliseconds on an idle machine.
const readyWithin = 30 * time.Second

// Broker is a duelogd process with ports and a data directory that outlive it.
type Broker struct {
	NameServer string // address for clients, HOST:PORT
	Listen     string // address of the broker itself
	Admin      string // address of metrics and health

	binary string
	dir    string
	logs   *os.File
	cmd    *exec.Cmd
	exited chan error // receives what Wait returned, once per start
}

// StartBroker starts duelogd on free ports with an empty data directory and
// waits until it is ready. It is killed when the test ends.
func StartBroker(t *testing.T, binary string) *Broker {
	dir := workDir(t, "broker")
	logs, err := os.Create(filepath.Join(dir, "duelogd.log"))
	require.NoError(t, err)
	ports := freePorts(t)
	b := &Broker{
		NameServer: "127.0.0.1:" + strconv.Itoa(ports.nameServer),
		Listen:     "127.0.0.1:" + strconv.Itoa(ports.listen),
		Admin:      "127.0.0.1:" + strconv.Itoa(ports.admin),
		binary:     binary,
		dir:        dir,
		logs:       logs,
	}
	t.Cleanup(func() {
		b.end(syscall.SIGKILL)
		b.requireQuietLog(t)
		if t.Failed() {
			t.Logf("broker log, last lines:\n%s", tail(logs.Name()))
		}
		logs.Close()
	})
	b.Start(t)
	return b
}

// requireQuietLog fails the test when duelogd logged an error, or the runtime
// or the race detector had something to say.
func (b *Broker) requireQuietLog(t *testing.T) {
	log, err := os.ReadFile(b.logs.Name())
	assert.NoError(t, err)
	for line := range strings.Lines(string(log)) {
		for _, bad := range []string{"level=ERROR", "panic:", "fatal error:", "DATA RACE"} {
			assert.NotContains(t, line, bad, "duelogd's log")
		}
	}
}

// Start starts the process again, on the same ports and data, after Kill or
// Stop, and waits until it is ready.
func (b *Broker) Start(t *testing.T) {
	t.Helper()
	b.cmd = exec.Command(b.binary,
		"--data", filepath.Join(b.dir, "data"),
		"--listen", b.Listen,
		"--namesrv-listen", b.NameServer,
		"--admin-listen", b.Admin,
		"--flush", "sync")
	b.cmd.Stdout, b.cmd.Stderr = b.logs, b.logs
	began := time.Now()
	require.NoError(t, b.cmd.Start())
	exited := make(chan error, 1)
	b.exited = exited
	go func(cmd *exec.Cmd) { exited <- cmd.Wait() }(b.cmd)
	b.awaitReady(t)
	t.Logf("duelogd ready after %d ms", time.Since(began).Milliseconds())
}

func (b *Broker) awaitReady(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(readyWithin); time.Now().Before(deadline); {
		if b.Ready() {
			return
		}
		select {
		case err := <-b.exited:
			b.exited <- err
			require.FailNow(t, "duelogd ended at its start", "%v\n%s", err, tail(b.logs.Name()))
		case <-time.After(10 * time.Millisecond):
		}
	}
	require.FailNow(t, "duelogd is not ready", tail(b.logs.Name()))
}

// Ready reports whether /readyz answers 200.
func (b *Broker) Ready() bool {
	client := http.Client{Timeout: 2 * time.Second}
	answer, err := client.Get("http://" + b.Admin + "/readyz")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// Kill ends the process with SIGKILL: it has no chance to write anything.
func (b *Broker) Kill(t *testing.T) {
	t.Helper()
	b.end(syscall.SIGKILL)
}

// Stop asks the process to end, with SIGTERM, and requires that it does so
// cleanly.
func (b *Broker) Stop(t *testing.T) {
	t.Helper()
	began := time.Now()
	require.NoError(t, b.end(syscall.SIGTERM), "duelogd must exit with 0 after SIGTERM")
	t.Logf("duelogd stopped in %d ms", time.Since(began).Milliseconds())
}

// end signals the process and waits for it. A process that does not go is
// killed.
func (b *Broker) end(signal syscall.Signal) error {
	if b.exited == nil {
		return nil
	}
	if err := b.cmd.Process.Signal(signal); err != nil {
		return err
	}
	select {
	case err := <-b.exited:
		b.exited = nil
		return err
	case <-time.After(readyWithin):
		b.cmd.Process.Kill()
		<-b.exited
		b.exited = nil
		return fmt.Errorf("still running %v after %v", readyWithin, signal)
	}
}

type ports struct{ listen, nameServer, admin int }

// nextPort walks through ports below those that the system gives to outgoing
// connections, so a port stays ours while its broker is down.
var nextPort atomic.Int32

func init() { nextPort.Store(int32(20000 + os.Getpid()%1000*10)) }

// freePorts finds ports of which listen-2, the VIP listener, is free too.
func freePorts(t *testing.T) ports {
	for range 200 {
		p := int(nextPort.Add(4)) - 4
		if p+4 > 32000 {
			nextPort.Store(20000)
			continue
		}
		if allFree(p, p+1, p+2, p+3) {
			return ports{listen: p + 2, nameServer: p + 1, admin: p + 3}
		}
	}
	require.FailNow(t, "no free ports on 127.0.0.1")
	return ports{}
}

func allFree(candidates ...int) bool {
	for _, p := range candidates {
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(p))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
