//go:build !linux

package segment

import "os"

func populateWrite([]byte) {}

func adviseRandom([]byte) {}

// resident cannot be answered here, so that every read but the newest goes by pread.
func resident([]byte) bool { return false }

// willNeed does nothing here: what is read is read when it is asked for.
func willNeed(*os.File, int64, int64) bool { return false }
