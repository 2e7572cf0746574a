package child

import "syscall"

// innerID is what root is called in the namespace. Any number but 0 does.
const innerID = 1000

func namespaced() *User {
	mapping := []syscall.SysProcIDMap{{ContainerID: innerID, HostID: 0, Size: 1}}
	return &User{apply: func(a *syscall.SysProcAttr) {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings, a.GidMappings = mapping, mapping
		a.Credential = &syscall.Credential{Uid: innerID, Gid: innerID, NoSetGroups: true}
	}}
}
