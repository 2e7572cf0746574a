package server

import (
	"errors"

	"github.com/duelog/duelog/store"
)

// healthy is nil unless only a restart can help.
func (s *Server) healthy() error {
	st := s.store.Stats()
	return worthKeeping(&st)
}

// readiness is nil while clients are welcome.
func (s *Server) readiness() error {
	if !s.ready.Load() {
		return errors.New("stopping")
	}
	st := s.store.Stats()
	return takesWrites(&st)
}

// worthKeeping is nil unless the store has failed. A full disk is no reason to
// be killed: pending messages still fire, and a restart frees no space.
func worthKeeping(st *store.Stats) error {
	if st.Failed {
		return errors.New("the store is read-only after a failed write: check the disk, then restart")
	}
	return nil
}

// takesWrites is nil while the store does.
func takesWrites(st *store.Stats) error {
	if st.DiskFull && !st.Failed {
		return errors.New("the disk is full: messages are refused, pending ones still fire; free space, no restart is needed")
	}
	return worthKeeping(st)
}
