package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const daemonPackage = "github.com/duelog/duelog/cmd/duelogd"

// build compiles duelogd from the source around the working directory into dir. A
// duelogd beside this binary is taken before that.
func build(dir string) (string, error) {
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), "duelogd"); isProgram(beside) {
			return beside, nil
		}
	}
	path := filepath.Join(dir, "duelogd")
	out, err := exec.Command("go", "build", "-o", path, daemonPackage).CombinedOutput()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("there is no go to build duelogd with; name a binary with --duelogd")
	case err != nil:
		return "", fmt.Errorf("build duelogd (run this inside its source, or name a binary with --duelogd): %w: %s", err, strings.TrimSpace(string(out)))
	}
	return path, nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
