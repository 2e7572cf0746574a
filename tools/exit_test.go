package tools

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// What helps against most errors of a kind is said wherever they come from, unless who
// returned it knew better.
func TestErrorsOfAKindHaveANextStep(t *testing.T) {
	noSpace := fmt.Errorf("write results: %w", &fs.PathError{Op: "write", Path: "out", Err: syscall.ENOSPC})
	for _, x := range []struct {
		err  error
		next string
	}{
		{fmt.Errorf("look into segment: %w", commitlog.ErrVersion), "use the duelogctl of the release that wrote it"},
		{fmt.Errorf("look into run: %w", delayindex.ErrVersion), "use the duelogctl of the release that wrote it"},
		{noSpace, "free space where the results go, and run it again"},
		{hint(noSpace, "delete the copy"), "delete the copy"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, "run it as a user who may, such as that of the broker"},
		{fmt.Errorf("make copy: %w", &fs.PathError{Op: "mkdir", Path: "/proc/x", Err: syscall.ENOENT}), "look at /proc/x: is it there, and on a disk that is well?"},
	} {
		var errs bytes.Buffer
		e := newEnv(Process{Out: t.Output(), Err: &errs})
		e.report(newRoot(e), x.err)
		require.Contains(t, errs.String(), "\nnext: "+x.next+"\n")
	}
	require.Empty(t, nextStep(noSpace), "a repair says that its copy is not whole")
	require.Empty(t, usualStep(errors.New("anything else")))
}
