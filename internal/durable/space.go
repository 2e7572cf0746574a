package durable

import "fmt"

// Space is how full a file system is, in bytes.
type Space struct {
	Used int64 // by files
	Free int64 // left for this process; what is kept for root is in neither
}

// UsedPart is how much of what can be used is used, from 0 to 1.
func (s Space) UsedPart() float64 {
	if s.Used+s.Free <= 0 {
		return 0
	}
	return float64(s.Used) / float64(s.Used+s.Free)
}

// DiskSpace asks how full the file system of dir is. It does not wait for the disk.
func DiskSpace(dir string) (Space, error) {
	s, err := statfs(dir)
	if err != nil {
		return Space{}, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return s, nil
}
