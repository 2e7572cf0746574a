package child

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// User is how a child runs that refuses to run as root. A nil User is the user of
// this process.
type User struct {
	apply func(*syscall.SysProcAttr)
	// owner of the files that the child uses; nil: they stay root's.
	owner *syscall.Credential
}

// Unprivileged returns nil unless this process is root. For root it is, where the
// kernel allows it, a user namespace in which root has another number: the child
// then takes itself for an ordinary user and can reach all that root can.
// Elsewhere it is the first of names that the machine knows, who must be able to
// enter the directories above those of the child.
func Unprivileged(names ...string) (*User, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	if u := namespaced(); u != nil && u.works() {
		return u, nil
	}
	for _, name := range names {
		if u, err := lookup(name); err == nil {
			return u, nil
		}
	}
	return nil, fmt.Errorf("this process is root, which the server refuses, and none of the users %q exists", names)
}

func lookup(name string) (*User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return &User{owner: c, apply: func(a *syscall.SysProcAttr) { a.Credential = c }}, nil
}

// works tries the user with a program that does nothing.
func (u *User) works() bool {
	cmd := exec.Command("true")
	u.Apply(cmd)
	return cmd.Run() == nil
}

// Own gives dir and everything in it to u.
func (u *User) Own(dir string) error {
	if u == nil || u.owner == nil {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(u.owner.Uid), int(u.owner.Gid))
	})
}

// Apply lets a command that is not started yet run as u.
func (u *User) Apply(cmd *exec.Cmd) {
	if u == nil {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	u.apply(cmd.SysProcAttr)
}
