//go:build !linux

package cold

func resident(int, stretch) bool { return false }

func willNeed(int, stretch) bool { return false }
