package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
)

// The programs of a run that are written in Go; buildAll sets them.
var (
	duelogd   string // the binary under test
	goDrive   string // the driver of the Go client
	goExample string // the example of the README
)

// buildAll builds the programs into dir, before the tests: a compiler beside
// them would take the cores from clients that do not wait long.
func buildAll(dir string) error {
	for _, program := range []struct {
		path   *string
		name   string
		module string // folder of the module that has it
		pkg    string
	}{
		{&duelogd, "duelogd", filepath.Join("..", ".."), "./cmd/duelogd"},
		{&goDrive, "go-driver", ".", "./drivers/go"},
		{&goExample, "go-example", filepath.Join(examples(), "go"), "."},
	} {
		*program.path = filepath.Join(dir, program.name)
		if name := os.Getenv("DUELOG_E2E_BROKER"); name != "" && program.path == &duelogd {
			duelogd = name
			continue
		}
		build := exec.Command("go", "build", "-o", *program.path, program.pkg)
		build.Dir = program.module
		if err := run(build); err != nil {
			return err
		}
	}
	return nil
}
