package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Kind is a client that can be driven.
type Kind struct {
	Name   string
	Traits Traits
	Light  bool // a driver starts at once, so each scenario has one of its own
	driver func(nameServer, home string) (*exec.Cmd, error)
}

// The clients. Java is there with both its header serialisations.
var (
	java   = Traits{Batch: true, Async: true, Transactions: true, BinaryBody: true, Sharding: true, VIP: true, TellsCode: true, Queries: true}
	java55 = func() Traits { t := java; t.Recalls = true; return t }()

	Java49 = Kind{Name: "Java client 4.9.8", Traits: java, driver: javaDriver("4.9.8")}
	Java55 = Kind{Name: "Java client 5.5.0", Traits: java55, driver: javaDriver("5.5.0")}
	// Java55Binary sends headers in the form that RocketMQ calls ROCKETMQ.
	Java55Binary = Kind{
		Name: "Java client 5.5.0, binary headers", Traits: java55,
		driver: javaDriver("5.5.0", "-Drocketmq.serialize.type=ROCKETMQ"),
	}
	Go = Kind{
		Name: "Go client 2.1.2", Light: true, driver: goDriver,
		Traits: Traits{Batch: true, Async: true, Transactions: true, BinaryBody: true, Sharding: true, TellsCode: true},
	}
	Python = Kind{
		Name: "Python client 2.0.0 over the C++ client", Light: true, driver: pythonDriver,
		Traits: Traits{SmallBody: true},
	}
)

// missingError says that the machine lacks a runtime.
type missingError struct{ what string }

func (e *missingError) Error() string { return e.what + " is missing on this machine" }

// StartClient starts the driver of a client. When the machine lacks its runtime
// the test is skipped, or fails with DUELOG_E2E_REQUIRE=1.
func StartClient(t *testing.T, kind Kind, nameServer string) *Client {
	t.Helper()
	command, err := kind.driver(nameServer, workDir(t, "home"))
	skipOrFail(t, err)
	return startClient(t, kind, command)
}

func skipOrFail(t *testing.T, err error) {
	t.Helper()
	var missing *missingError
	if errors.As(err, &missing) && os.Getenv("DUELOG_E2E_REQUIRE") == "" {
		lacking.Store(missing.Error(), nil)
		t.Skip(err)
	}
	require.NoError(t, err)
}

var lacking sync.Map // reasons for skipping, as keys

// skipped returns why tests were skipped so far.
func skipped() []string {
	var reasons []string
	lacking.Range(func(reason, _ any) bool {
		reasons = append(reasons, reason.(string))
		return true
	})
	slices.Sort(reasons)
	return reasons
}

// javaDriver runs the driver from its source, so nothing is compiled before.
func javaDriver(version string, properties ...string) func(string, string) (*exec.Cmd, error) {
	return func(nameServer, home string) (*exec.Cmd, error) {
		return javaProgram(version, home, append(properties, "drivers/java/Driver.java", nameServer)...)
	}
}

// javaProgram is the java command with the client of this version on the class
// path. The client logs below home.
func javaProgram(version, home string, args ...string) (*exec.Cmd, error) {
	jars, err := javaJars(version)
	if err != nil {
		return nil, err
	}
	fixed := []string{
		"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m",
		"-Duser.home=" + home, "-cp", filepath.Join(jars, "*"),
	}
	return exec.Command("java", append(fixed, args...)...), nil
}

var mavenMu sync.Mutex // Maven's own cache does not like two at a time

// javaJars fetches the client and what it needs.
func javaJars(version string) (string, error) {
	for _, tool := range []string{"java", "javac", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", &missingError{tool + " (a JDK with Maven)"}
		}
	}
	mavenMu.Lock()
	defer mavenMu.Unlock()
	return cached("java-"+version, func(dir string) error {
		return run(exec.Command("mvn", "--batch-mode", "--quiet",
			"--file", filepath.Join(examples(), "java", "pom.xml"),
			"-Drocketmq.version="+version, "-DincludeScope=runtime", "-DoutputDirectory="+dir,
			"dependency:copy-dependencies"))
	})
}

func goDriver(nameServer, _ string) (*exec.Cmd, error) {
	return exec.Command(goDrive, nameServer), nil
}

func pythonDriver(nameServer, home string) (*exec.Cmd, error) {
	return pythonProgram(home, "drivers/python/driver.py", nameServer)
}

// pythonProgram is the python3 command with the client's package on its path.
// The C++ client logs below home.
func pythonProgram(home string, args ...string) (*exec.Cmd, error) {
	lib, err := pythonLib()
	if err != nil {
		return nil, err
	}
	command := exec.Command("python3", args...)
	command.Env = append(os.Environ(), "PYTHONPATH="+lib, "HOME="+home)
	return command, nil
}

func pythonLib() (string, error) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		return "", &missingError{"a prebuilt librocketmq for " + runtime.GOOS + "/" + runtime.GOARCH}
	}
	if err := exec.Command("python3", "-m", "pip", "--version").Run(); err != nil {
		return "", &missingError{"python3 with pip"}
	}
	return cached("python-2.0.0", func(dir string) error {
		return run(exec.Command("python3", filepath.Join(examples(), "python", "install.py"), dir))
	})
}

// examples is the folder with the programs that the README shows.
func examples() string { return filepath.Join("..", "..", "examples") }

// run runs a command to its end; what it printed is in the error.
func run(command *exec.Cmd) error {
	out, err := command.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, out)
	}
	return nil
}
