// Package deptest holds the shape of this module: which package may import
// which, what the engine stays clear of, and which other modules are used. Its
// tests read the packages as they are from `go list` and fail on the first
// import that points up.
//
//	cmd
//	bench/command
//	bench/{duelog,wire,report,peers/...}   tools
//	bench
//	server   bench/{limit,probe}
//	server/{broker,namesrv,...}
//	server/{remoting,message}      store
//	                               commitlog/cold
//	                               delayindex  keyindex  commitlog  consumequeue
//	                               internal/runset
//	                               commitlog/segment   internal/runfile
//	internal/durable, internal/invariants
//
// A package may import what stands in a lower row, never its own row. The
// engine (right column) knows neither networks nor protocols, so that a
// stranger's broker can embed it; the protocol (left column) knows no store;
// and the server uses the engine through its door, package store.
//
// A package that does not exist breaks no rule. One that has no row of its own
// gets that of the nearest package above it in the tree.
package deptest

import (
	"fmt"
	"slices"
	"strings"
)

// Module is the path of the module that is checked.
const Module = "github.com/duelog/duelog"

// Package is what the rules look at; the fields are those of `go list -json`.
type Package struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path string }
	Imports    []string // of the files that are built, tests not included
}

// rows orders packages by height, relative to Module.
var rows = map[string]int{
	"internal/durable":       0,
	"internal/invariants":    0,
	"internal/runfile":       10,
	"internal/runset":        15,
	"commitlog/segment":      10,
	"commitlog":              20,
	"delayindex":             20,
	"consumequeue":           20,
	"keyindex":               20,
	"commitlog/cold":         25,
	"store":                  30,
	"server/remoting":        30,
	"server/client":          35, // what talks to brokers: tools, bench, the demonstration
	"server/message":         20,
	"server/namesrv":         40,
	"server/broker":          40,
	"server/proxy":           50,
	"server/console":         50,
	"server":                 60,
	"bench/limit":            62,
	"bench/probe":            62,
	"bench/peers/child":      62,
	"bench":                  64,
	"bench/wire":             66,
	"bench/report":           66,
	"bench/peers/install":    66, // this and the next two: what drivers of peers share
	"bench/peers/consume":    66,
	"bench/peers/pipeline":   66,
	"bench/duelog":           68, // the drivers
	"bench/peers/beanstalkd": 68,
	"bench/peers/nats":       68,
	"bench/peers/postgres":   68,
	"bench/peers/redis":      68,
	"bench/peers/rocketmq":   68,
	"bench/peers":            70,
	"bench/command":          74,
	"tools":                  70,
	"cmd":                    80,
	"examples":               90,
	"internal":               90, // testutil, deptest: for tests only
	"":                       90,
}

var engine = []string{"commitlog", "delayindex", "consumequeue", "keyindex", "store", "internal/durable", "internal/invariants", "internal/runfile", "internal/runset"}

// within reports whether the package at path, relative to Module, is one of
// roots or below one.
func within(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

func row(path string) int {
	for {
		if r, ok := rows[path]; ok {
			return r
		}
		path = path[:max(strings.LastIndexByte(path, '/'), 0)]
	}
}

// Violations checks every package of Module in pkgs and returns a sentence for
// each import that is not allowed.
func Violations(pkgs []Package) []string {
	modules := map[string]string{}
	for _, p := range pkgs {
		if p.Module != nil {
			modules[p.ImportPath] = p.Module.Path
		}
	}
	var out []string
	for _, p := range pkgs {
		from, ok := relative(p.ImportPath)
		if !ok {
			continue
		}
		for _, imp := range p.Imports {
			if why := forbidden(from, imp, modules); why != "" {
				out = append(out, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imp, why))
			}
		}
	}
	return out
}

// relative cuts Module off; ok is false outside of it.
func relative(path string) (rel string, ok bool) {
	if path == Module {
		return "", true
	}
	return strings.CutPrefix(path, Module+"/")
}

// forbidden says why the package from, relative to Module, may not import imp;
// "" if it may.
func forbidden(from, imp string, modules map[string]string) string {
	if to, ok := relative(imp); ok {
		return forbiddenInside(from, to)
	}
	switch module, ok := modules[imp]; {
	case within(from, engine...) && (imp == "net" || within(imp, "net/http")):
		return "the engine knows no network"
	case ok && within(from, "internal/testutil", "internal/deptest"):
		return "" // tests use what they like
	case ok && !slices.Contains(dependencies, module):
		return "module " + module + " is not among the dependencies that were agreed on"
	case imp == "testing" && !within(from, "internal"):
		return "the product does not contain test code"
	}
	return ""
}

func forbiddenInside(from, to string) string {
	switch {
	case within(from, engine...) && within(to, "server", "bench", "tools", "cmd"):
		return "the engine can be embedded without the server"
	case within(from, "server/remoting", "server/message") && within(to, engine...):
		return "the protocol knows no store"
	case within(from, "server") && within(to, "delayindex", "consumequeue", "keyindex"):
		return "store is the engine's one door"
	case within(from, "server/proxy", "server/console") && within(to, "store"):
		return "proxies and consoles ask the broker"
	case row(from) <= row(to):
		return "arrows only point down"
	}
	return ""
}

// dependencies are the modules that the product may import directly. A new one
// is a decision: add it here together with its reason to be.
var dependencies = []string{
	"github.com/HdrHistogram/hdrhistogram-go", // latency histograms of bench
	"github.com/dustin/go-humanize",           // sizes for humans
	"github.com/edsrzf/mmap-go",               // read mappings of segments
	"github.com/google/btree",                 // what is due in the present second
	"github.com/klauspost/compress",           // bodies, cold segments
	"github.com/pierrec/lz4/v4",               // bodies
	"github.com/prometheus/client_golang",     // metrics
	"github.com/schollz/progressbar/v3",       // tools and bench on a terminal
	"github.com/spf13/cobra",                  // command line
	"github.com/spf13/pflag",                  // its flags
	"go.etcd.io/raft/v3",                      // replication
	"go.yaml.in/yaml/v3",                      // configuration file
	"golang.org/x/sync",                       // errgroup
	"golang.org/x/sys",                        // system calls that package os lacks
	"golang.org/x/time",                       // rate limits
	"gonum.org/v1/plot",                       // figures of bench
	"google.golang.org/grpc",                  // the 5.x protocol
	"google.golang.org/protobuf",              // the 5.x protocol
}
