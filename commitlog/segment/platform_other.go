//go:build !linux

package segment

func populateWrite([]byte) {}

func adviseRandom([]byte) {}

// resident cannot be answered here, so that every read but the newest goes by pread.
func resident([]byte) bool { return false }
