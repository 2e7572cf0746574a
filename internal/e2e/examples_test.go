package e2e

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// exampleWithin bounds one example. They give up by themselves after 30 s.
const exampleWithin = 90 * time.Second

// The examples of the README run as they are, against one broker. They go first
// and not beside the other tests: they have the clients' stock timeouts, of 3 s
// for a send, which a JVM that starts on a busy machine may miss.
func TestExamples(t *testing.T) {
	broker := StartBroker(t, duelogd)
	programs := map[string]func(home, nameServer string) (*exec.Cmd, error){
		"Java": func(home, nameServer string) (*exec.Cmd, error) {
			return javaProgram("5.5.0", home, filepath.Join(examples(), "java", "Schedule.java"), nameServer)
		},
		"Go": func(_, nameServer string) (*exec.Cmd, error) {
			return exec.Command(goExample, nameServer), nil
		},
		"Python": func(home, nameServer string) (*exec.Cmd, error) {
			return pythonProgram(home, filepath.Join(examples(), "python", "schedule.py"), nameServer)
		},
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command, err := program(workDir(t, "home"), broker.NameServer)
			skipOrFail(t, err)
			var out bytes.Buffer
			command.Stdout, command.Stderr = &out, &out
			require.NoError(t, command.Start())
			killer := time.AfterFunc(exampleWithin, func() { command.Process.Kill() })
			defer killer.Stop()
			require.NoError(t, command.Wait(), &out)
			requireScheduled(t, out.String())
		})
	}
}

var (
	scheduledLine = regexp.MustCompile(`(?m)^scheduled ([0-9A-Fa-f]+)`)
	receivedLine  = regexp.MustCompile(`(?m)^received ([0-9A-Fa-f]+) (-?\d+) ms after its time: close the unpaid order$`)
)

// requireScheduled requires that the output of an example tells of a message
// that came at its time.
func requireScheduled(t *testing.T, out string) {
	t.Helper()
	scheduled, received := scheduledLine.FindStringSubmatch(out), receivedLine.FindAllStringSubmatch(out, -1)
	require.NotNil(t, scheduled, out)
	require.Len(t, received, 1, out)
	require.Equal(t, scheduled[1], received[0][1], out)
	after, err := strconv.Atoi(received[0][2])
	require.NoError(t, err)
	require.GreaterOrEqual(t, after, 0, "came too early")
	require.LessOrEqual(t, time.Duration(after)*time.Millisecond, late, "came too late")
	t.Logf("came %d ms after its time", after)
}
