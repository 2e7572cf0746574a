package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// childEnv makes the test binary duelogd itself: a real process, to be killed.
const childEnv = "DUELOG_TEST_DAEMON"

// patience bounds what takes milliseconds on an idle machine.
const patience = time.Minute

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// daemon is a duelogd process whose ports and files outlive it.
type daemon struct {
	dir                    string
	listen, namesrv, admin string
	client                 *client.Client
	process                *exec.Cmd
}

func newDaemon(t *testing.T) *daemon {
	port := freePorts(t)
	addr := func(offset int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+offset)) }
	d := &daemon{dir: t.TempDir(), listen: addr(2), namesrv: addr(1), admin: addr(3)}
	d.client = client.New(&client.Options{NameServer: d.namesrv, Timeout: patience})
	t.Cleanup(func() {
		_ = d.client.Close()
		if d.process != nil {
			d.kill(t)
		}
	})
	return d
}

// freePorts returns the first of four free ports below those that the system
// gives to outgoing connections, so that they stay free while nobody listens.
func freePorts(t *testing.T) int {
	for range 1000 {
		port, free := 12000+rand.IntN(8000), true
		for i := range 4 {
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i))
			if free = free && err == nil; err == nil {
				_ = l.Close()
			}
		}
		if free {
			return port
		}
	}
	t.Fatal("no free ports on 127.0.0.1")
	return 0
}

// start runs the process and returns when it is ready.
func (d *daemon) start(t *testing.T) {
	t.Helper()
	d.process = exec.Command(os.Args[0], "--data", d.dir, "--listen", d.listen, "--namesrv-listen", d.namesrv,
		"--admin-listen", d.admin, "--flush", "sync", "--log-level", "error")
	d.process.Env = append(os.Environ(), childEnv+"=1")
	d.process.Stderr = os.Stderr
	require.NoError(t, d.process.Start())
	require.Eventually(t, d.ready, patience, 10*time.Millisecond)
}

func (d *daemon) ready() bool {
	r, err := http.Get("http://" + d.admin + "/readyz")
	if err != nil {
		return false
	}
	_ = r.Body.Close()
	return r.StatusCode == http.StatusOK
}

// kill ends the process without giving it a chance to write anything.
func (d *daemon) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, d.process.Process.Kill())
	_ = d.process.Wait()
	d.process = nil
}

// send returns nil when the message was acknowledged. dueMs 0 is at once.
func (d *daemon) send(body string, dueMs int64) error {
	m := &client.Outgoing{Topic: killTopic, Queue: -1, Body: []byte(body), Group: "killers"}
	if dueMs > 0 {
		m.Properties = string(message.AppendProperty(nil, message.PropTimerDeliverMs, strconv.FormatInt(dueMs, 10)))
	}
	_, err := d.client.Send(context.Background(), m)
	return err
}

// readAll returns what the queues hold, by queue and offset.
func (d *daemon) readAll(t *testing.T) map[string]message.Message {
	t.Helper()
	all := map[string]message.Message{}
	for id := range int32(killQueues) {
		q := client.Queue{Topic: killTopic, Addr: d.listen, ID: id}
		for offset := int64(0); ; {
			p, err := d.client.Pull(t.Context(), q, offset, client.PullOptions{Group: "readers"})
			require.NoError(t, err)
			for _, m := range p.Messages {
				all[fmt.Sprintf("queue %d, offset %d", id, m.QueueOffset)] = m
			}
			if p.Next == offset {
				break
			}
			offset = p.Next
		}
	}
	return all
}
