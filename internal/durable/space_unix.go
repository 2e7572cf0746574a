//go:build unix

package durable

import "golang.org/x/sys/unix"

func statfs(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, err
	}
	block := int64(st.Bsize)
	return Space{Used: int64(st.Blocks-st.Bfree) * block, Free: int64(st.Bavail) * block}, nil
}
