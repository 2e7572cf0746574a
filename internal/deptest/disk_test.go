package deptest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// changesDisk are the functions of package os, and the methods of os.File, that
// change the disk. The engine calls those of internal/durable instead, so that
// the crash tests of the store see everything that it does.
var (
	changesDisk    = []string{"Create", "Link", "Mkdir", "MkdirAll", "OpenFile", "Remove", "RemoveAll", "Rename", "Symlink", "Truncate", "WriteFile"}
	withoutDurable = []string{"store/lock_unix.go"}
	opensOnly      = []string{"O_RDONLY", "O_RDWR", "O_WRONLY"}
)

func TestEngineChangesTheDiskOnlyThroughDurable(t *testing.T) {
	for _, dir := range []string{"store", "commitlog", "commitlog/segment", "commitlog/cold", "delayindex", "keyindex", "consumequeue", "internal/runfile", "internal/runset"} {
		for _, path := range goFiles(t, dir) {
			if rel, _ := filepath.Rel(root, path); !slices.Contains(withoutDurable, filepath.ToSlash(rel)) {
				checkDisk(t, path)
			}
		}
	}
}

func TestOnlyTestsObserveTheDisk(t *testing.T) {
	for _, dir := range []string{"store", "commitlog", "commitlog/segment", "commitlog/cold", "delayindex", "keyindex", "consumequeue", "server", "server/broker", "tools"} {
		for _, path := range goFiles(t, dir) {
			eachCall(t, path, func(x, name string, _ *ast.CallExpr) {
				require.False(t, x == "durable" && name == "Observe", "%s observes the disk", path)
			})
		}
	}
}

// goFiles lists the files of a directory that are no tests.
func goFiles(t *testing.T, dir string) []string {
	t.Helper()
	lookAround()
	files, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
	require.NoError(t, err)
	return slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
}

func checkDisk(t *testing.T, path string) {
	eachCall(t, path, func(x, name string, call *ast.CallExpr) {
		if x == "os" && slices.Contains(changesDisk, name) && !onlyOpens(name, call) {
			t.Errorf("%s: os.%s changes the disk; use package internal/durable", path, name)
		}
	})
}

// onlyOpens tells that os.OpenFile opens a file that is there.
func onlyOpens(name string, call *ast.CallExpr) bool {
	if name != "OpenFile" {
		return false
	}
	flag, ok := call.Args[1].(*ast.SelectorExpr)
	return ok && slices.Contains(opensOnly, flag.Sel.Name)
}

// eachCall visits the calls of the form x.name(...) in a file.
func eachCall(t *testing.T, path string, visit func(x, name string, call *ast.CallExpr)) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	require.NoError(t, err)
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok {
				visit(x.Name, sel.Sel.Name, call)
			}
		}
		return true
	})
}
