package deptest

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// listed adds to Package what only the tests look at.
type listed struct {
	Package
	Dir                                string
	GoFiles, TestGoFiles, XTestGoFiles []string
}

var root = filepath.Join("..", "..")

// lookAround looks at every source file, so that `go test` knows what a test
// depends on: it does not see what `go list` reads, and would answer from its
// cache after an import was added.
func lookAround() {
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return nil // it does not matter what is not there
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case filepath.Ext(path) == ".go" || d.Name() == "go.mod":
			_, _ = os.Stat(path)
		}
		return nil
	})
}

// list runs `go list` at the root of the module.
func list(t *testing.T, args ...string) []listed {
	t.Helper()
	lookAround()
	cmd := exec.Command("go", append([]string{"list", "-e", "-json"}, args...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var pkgs []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		require.NoError(t, err)
		pkgs = append(pkgs, p)
	}
}

func plain(pkgs []listed) []Package {
	out := make([]Package, len(pkgs))
	for i, p := range pkgs {
		out[i] = p.Package
	}
	return out
}

func TestArrowsOnlyPointDown(t *testing.T) {
	pkgs := list(t, "-deps", "./...")
	require.NotEmpty(t, pkgs)
	if bad := Violations(plain(pkgs)); len(bad) > 0 {
		t.Fatal(strings.Join(bad, "\n"))
	}
}

func TestGoModRequiresNothingUnexpected(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	lookAround()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &mod))
	for _, r := range mod.Require {
		if !r.Indirect {
			require.Contains(t, append(dependencies, testDependencies...), r.Path, "a new direct dependency in go.mod")
		}
	}
}

// testDependencies are for tests only.
var testDependencies = []string{
	"github.com/chromedp/chromedp",
	"github.com/cockroachdb/datadriven",
	"github.com/google/go-cmp",
	"github.com/rogpeppe/go-internal",
	"github.com/stretchr/testify",
	"go.uber.org/goleak",
	"pgregory.net/rapid",
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range list(t, "./...") {
		doc := comment(t, p)
		switch {
		case len(p.GoFiles)+len(p.TestGoFiles)+len(p.XTestGoFiles) == 0:
			continue
		case doc == "":
			t.Errorf("%s has no package comment", p.ImportPath)
		case !strings.HasPrefix(doc, "Package ") && !strings.HasPrefix(doc, "Command ") && !isMain(p):
			t.Errorf("the comment of %s does not start with \"Package\"", p.ImportPath)
		}
	}
}

func isMain(p listed) bool {
	rel, _ := relative(p.ImportPath)
	return within(rel, "cmd", "examples")
}

// comment returns the package comment, from whichever file has it.
func comment(t *testing.T, p listed) string {
	files := p.GoFiles
	if len(files) == 0 {
		files = append(p.TestGoFiles, p.XTestGoFiles...)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err == nil && f.Doc != nil {
			return f.Doc.Text()
		}
	}
	return ""
}

func TestViolationsKnowsTheArrows(t *testing.T) {
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"cmd/duelogd", "server", true},
		{"server", "server/broker", true},
		{"server", "store", true},
		{"server/broker", "store", true},
		{"server/broker", "commitlog", true},
		{"server/broker", "server/remoting", true},
		{"server/remoting", "server/message", true},
		{"store", "delayindex", true},
		{"store", "commitlog/segment", true},
		{"commitlog", "commitlog/segment", true},
		{"commitlog/segment", "internal/durable", true},
		{"bench", "server", true},
		{"tools", "consumequeue", true},

		{"store", "server/broker", false},
		{"store", "bench", false},
		{"commitlog", "store", false},
		{"commitlog/segment", "commitlog", false},
		{"delayindex", "commitlog", false},
		{"consumequeue", "delayindex", false},
		{"server/remoting", "store", false},
		{"server/message", "commitlog", false},
		{"server/message", "internal/durable", false},
		{"server/broker", "server", false},
		{"server/broker", "server/namesrv", false},
		{"server/broker", "consumequeue", false},
		{"server/console", "store", false},
		{"server", "cmd/duelogd", false},
		{"server", "bench", false},
		{"bench", "tools", false},
		{"store", "internal/testutil", false},
		{"store/new", "store", false},
		{"server/new", "server", false},
	} {
		pkg := Package{ImportPath: Module + "/" + c.from, Imports: []string{Module + "/" + c.to}}
		require.Equal(t, c.allowed, len(Violations([]Package{pkg})) == 0, "%s -> %s", c.from, c.to)
	}
}

func TestViolationsKnowsTheOutsideWorld(t *testing.T) {
	lib := func(path, module string) Package {
		return Package{ImportPath: path, Module: &struct{ Path string }{module}, Imports: []string{"net/http"}}
	}
	libs := []Package{
		lib("github.com/google/btree", "github.com/google/btree"),
		lib("github.com/stretchr/testify/require", "github.com/stretchr/testify"),
		lib("example.com/left/pad", "example.com/left"),
	}
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"store", "os", true},
		{"server", "net/http", true},
		{"store", "github.com/google/btree", true},
		{"internal/testutil", "github.com/stretchr/testify/require", true},
		{"internal/testutil", "testing", true},

		{"store", "net", false},
		{"commitlog/segment", "net/http", false},
		{"consumequeue", "net/http/httputil", false},
		{"internal/durable", "net", false},
		{"server", "github.com/stretchr/testify/require", false},
		{"store", "example.com/left/pad", false},
		{"server", "testing", false},
	} {
		pkg := Package{ImportPath: Module + "/" + c.from, Imports: []string{c.to}}
		require.Equal(t, c.allowed, len(Violations(append(libs, pkg))) == 0, "%s -> %s", c.from, c.to)
	}
}
