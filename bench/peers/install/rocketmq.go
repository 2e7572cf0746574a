package install

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// RocketMQVersion is the newest release of which all parts are on Maven Central.
const RocketMQVersion = "5.5.0"

// rocketmq is a Maven project: which jars are needed, and one class of ours that
// keeps the broker from listening on all interfaces.
//
//go:embed rocketmq
var rocketmq embed.FS

// RocketMQ returns the Java runtime and the class path of the name server and the
// broker.
func RocketMQ() (java Program, classPath string, err error) {
	path, err := exec.LookPath("java")
	if err != nil {
		return Program{}, "", fmt.Errorf("java is needed and not in the PATH: install a JDK")
	}
	home, err := rocketmqHome()
	if err != nil {
		return Program{}, "", err
	}
	if _, err := os.Stat(home); err != nil {
		return Program{}, "", fmt.Errorf("RocketMQ %s is not fetched; %s", RocketMQVersion, Hint)
	}
	list := []string{filepath.Join(home, "classes"), filepath.Join(home, "lib", "*")}
	return Program{Path: path}, strings.Join(list, string(os.PathListSeparator)), nil
}

// FetchRocketMQ fetches the jars with Maven and compiles the class of ours.
func FetchRocketMQ(ctx context.Context, log io.Writer) error {
	home, err := rocketmqHome()
	if err != nil {
		return err
	}
	err = build(home, func(dir string) (string, error) { return assemble(ctx, log, dir) })
	if err != nil {
		return fmt.Errorf("fetch RocketMQ: %w", err)
	}
	return nil
}

// assemble writes the Maven project into dir and lets it make dir/home.
func assemble(ctx context.Context, log io.Writer, dir string) (string, error) {
	project, err := fs.Sub(rocketmq, "rocketmq")
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(dir, project); err != nil {
		return "", err
	}
	_, err = command(ctx, log, dir, nil, "mvn", "-q", "-B", "-Drocketmq.version="+RocketMQVersion, "package")
	return filepath.Join(dir, "home"), err
}

func rocketmqHome() (string, error) {
	cache, err := Cache()
	return filepath.Join(cache, "rocketmq-"+RocketMQVersion), err
}
