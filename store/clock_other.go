//go:build !linux

package store

func newClock() clock { return newPlainClock(maxWait) }
