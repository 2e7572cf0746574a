package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// EnvPrefix begins the environment variable of every setting: --flush-every is
// DUELOG_FLUSH_EVERY.
const EnvPrefix = "DUELOG_"

// Settings binds a Config to its sources. A setting has one name with three
// spellings: the flag --flush-every, the variable DUELOG_FLUSH_EVERY and the
// YAML key flush-every.
//
// Not safe for concurrent use.
type Settings struct {
	cfg    Config
	groups []*settingGroup
	// all holds the flags of every group, by name, in the order of the groups.
	all *pflag.FlagSet
	// origins says where each value comes from; a name that is missing has its default.
	origins map[string]string
}

// settingGroup is one heading of the help text.
type settingGroup struct {
	title string
	flags *pflag.FlagSet
}

// NewSettings returns the settings at their defaults.
func NewSettings() *Settings {
	s := &Settings{cfg: DefaultConfig(), all: pflag.NewFlagSet("settings", pflag.ContinueOnError), origins: map[string]string{}}
	s.bindAddresses(s.group("Addresses"))
	s.bindMessages(s.group("Messages"))
	s.bindStore(s.group("Store"))
	s.bindRunning(s.group("Running and watching"))
	s.all.SortFlags = false
	for _, g := range s.groups {
		s.all.AddFlagSet(g.flags)
	}
	return s
}

// Flags returns the flags of all settings, to be parsed by the caller before Load.
func (s *Settings) Flags() *pflag.FlagSet { return s.all }

// Load fills in what the flags left open, from environ (as of os.Environ) and
// from the YAML file at path ("" for none), and returns the validated result.
// Strict: an unknown, repeated or malformed key is an error that names the line.
func (s *Settings) Load(path string, environ []string) (*Config, error) {
	s.noteFlags()
	if err := s.loadEnv(environ); err != nil {
		return nil, err
	}
	if err := s.loadFile(path); err != nil {
		return nil, err
	}
	if err := s.cfg.Validate(); err != nil {
		return nil, s.withOrigins(err)
	}
	c := s.cfg
	return &c, nil
}

// noteFlags records the values that came from the command line; the other
// sources then leave them alone.
func (s *Settings) noteFlags() {
	s.all.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			s.origins[f.Name] = "flag --" + f.Name
		}
	})
}

func (s *Settings) loadEnv(environ []string) error {
	var errs []error
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		name, ok := settingOfEnv(key)
		f := s.all.Lookup(name)
		if !ok || f == nil {
			continue // Not ours: Kubernetes injects DUELOG_PORT and the like by itself.
		}
		errs = append(errs, s.set(f, value, "env "+key))
	}
	return errors.Join(errs...)
}

func settingOfEnv(key string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(key, EnvPrefix)
	return strings.ReplaceAll(strings.ToLower(rest), "_", "-"), ok
}

func envOfSetting(name string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// set takes value from a source, unless a stronger one has spoken.
func (s *Settings) set(f *pflag.Flag, value, origin string) error {
	if s.origins[f.Name] != "" {
		return nil
	}
	if err := f.Value.Set(value); err != nil {
		return fmt.Errorf("%s: %s: %w", origin, f.Name, err)
	}
	s.origins[f.Name] = origin
	return nil
}

// withOrigins appends where the values in question were set, when that was not
// the command line that the operator is looking at.
func (s *Settings) withOrigins(err error) error {
	var notes []string
	s.all.VisitAll(func(f *pflag.Flag) {
		o := s.origins[f.Name]
		if o != "" && !strings.HasPrefix(o, "flag") && strings.Contains(err.Error(), "--"+f.Name+" ") {
			notes = append(notes, "--"+f.Name+" was set by "+o)
		}
	})
	if len(notes) == 0 {
		return err
	}
	return fmt.Errorf("%w\n(%s)", err, strings.Join(notes, "; "))
}

// Print writes every setting with its value and origin. The result is YAML: it
// can be saved and used as the file of --config.
func (s *Settings) Print(w io.Writer) error {
	var b strings.Builder
	for i, g := range s.groups {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s\n", g.title)
		g.flags.VisitAll(func(f *pflag.Flag) {
			fmt.Fprintf(&b, "%-44s # %s\n", f.Name+": "+yamlScalar(f.Value), s.origin(f.Name))
		})
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Settings) origin(name string) string {
	if o := s.origins[name]; o != "" {
		return o
	}
	return "default"
}

// usage returns the flags by heading, for the help text.
func (s *Settings) usage(columns int) string {
	var b strings.Builder
	for _, g := range s.groups {
		fmt.Fprintf(&b, "%s:\n%s\n", g.title, g.flags.FlagUsagesWrapped(columns))
	}
	return b.String()
}

func readConfigFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w; check the path given by --config or DUELOG_CONFIG", err)
	}
	return data, nil
}
