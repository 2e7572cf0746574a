package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Options say what to run. Path and Log are required.
type Options struct {
	// Path is the program.
	Path string
	// Args follow the name of the program.
	Args []string
	// Env is added to the environment of this process.
	Env []string
	// Dir is the working directory. Default: that of this process.
	Dir string
	// Log is the file to which the output is appended.
	Log string
	// User to run as. Default: that of this process.
	User *User
}

// Process is a started child.
type Process struct {
	name string
	log  string
	pid  int
	done chan struct{} // closed when the child has been waited for
}

// Start starts a child. The caller owns it and calls Kill or Stop.
func Start(o Options) (*Process, error) {
	name := filepath.Base(o.Path)
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer log.Close()
	cmd := exec.Command(o.Path, o.Args...)
	cmd.Dir = o.Dir
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = attributes()
	o.User.Apply(cmd)
	p := &Process{name: name, log: o.Log, done: make(chan struct{})}
	started := make(chan error)
	go p.run(cmd, started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// run keeps its thread until the child has ended: the kernel takes the death of
// the thread that started a child for the death of its parent.
func (p *Process) run(cmd *exec.Cmd, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		started <- err
		return
	}
	p.pid = cmd.Process.Pid
	started <- nil
	_ = cmd.Wait() // How it ended is in the log.
	close(p.done)
}

// PID returns the process id.
func (p *Process) PID() int { return p.pid }

// Await calls ready until it returns nil. It gives up when ctx ends or the child
// does, and then says why.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.failure("ended while starting", nil)
		case <-ctx.Done():
			return p.failure("does not answer", errors.Join(err, ctx.Err()))
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// failure is one line: what happened, why, and the end of the log.
func (p *Process) failure(what string, cause error) error {
	tail := lastLineOf(p.log)
	if cause == nil {
		return fmt.Errorf("%s %s: %s", p.name, what, tail)
	}
	return fmt.Errorf("%s %s: %w; its last words: %s", p.name, what, cause, tail)
}

// Kill kills the child and its descendants with SIGKILL and waits until all are
// gone. Killing a child that has ended is no error.
func (p *Process) Kill() error {
	family := descendants(p.pid)
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // It may have ended since.
		<-p.done
	}
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	deadline := time.Now().Add(10 * time.Second)
	for _, pid := range family {
		for alive(pid) {
			if time.Now().After(deadline) {
				return fmt.Errorf("kill %s: its child %d does not end", p.name, pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// Stop asks the child to end with sig, so that it can clear what lies outside its
// directory, and kills it when it has not ended after grace.
func (p *Process) Stop(sig syscall.Signal, grace time.Duration) error {
	select {
	case <-p.done:
		return p.Kill()
	default:
		_ = syscall.Kill(p.pid, sig) // It may have ended since.
	}
	select {
	case <-p.done:
	case <-time.After(grace):
	}
	return p.Kill()
}

// lastLineOf returns the last line of a log file.
func lastLineOf(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(0, st.Size()-4096), io.SeekStart) // else it is read from its start
	}
	b, _ := io.ReadAll(io.LimitReader(f, 4096)) // What can be read is what can be quoted.
	return LastLine(b)
}

// LastLine returns the last line of an output that says something, shortened to
// 300 bytes.
func LastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	if last == "" {
		return "(nothing)"
	}
	return last[:min(len(last), 300)]
}
