// Package invariants says whether expensive self-checks are compiled in.
//
// They are when the program is built with -tags invariants or with -race, so
// that every test run under the race detector has them and a release pays
// nothing: Enabled is a constant, and the compiler drops what it guards.
//
//	if invariants.Enabled {
//		q.checkOrder() // may be slow; panics with "BUG: ..."
//	}
//
// A check guarded by Enabled looks only at our own state. Data read from disk
// or from a client is judged in every build and ends in an error, not a panic.
package invariants
