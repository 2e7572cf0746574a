package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// loadFile applies a YAML file of the form "name: value". The nodes are walked
// by hand rather than decoded into a struct, so that every value keeps its line
// for --print-config and for errors, and a misspelt key gets a proposal.
func (s *Settings) loadFile(path string) error {
	if path == "" {
		return nil
	}
	data, err := readConfigFile(path)
	if err != nil {
		return err
	}
	root, err := parseMapping(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return s.applyMapping(path, root)
}

// parseMapping returns the top-level mapping of a YAML document; nil when the
// document is empty.
func parseMapping(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	switch err := dec.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("holds more than one YAML document: keep one")
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: expected lines of the form \"name: value\"", root.Line)
	}
	return root, nil
}

func (s *Settings) applyMapping(path string, root *yaml.Node) error {
	if root == nil {
		return nil
	}
	var errs []error
	seen := map[string]int{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		where := fmt.Sprintf("%s:%d", path, key.Line)
		if first, ok := seen[key.Value]; ok {
			errs = append(errs, fmt.Errorf("%s: %q is already set on line %d: keep one", where, key.Value, first))
			continue
		}
		seen[key.Value] = key.Line
		errs = append(errs, s.applyKey(where, key.Value, value))
	}
	return errors.Join(errs...)
}

func (s *Settings) applyKey(where, name string, value *yaml.Node) error {
	f := s.all.Lookup(name)
	if f == nil {
		return fmt.Errorf("%s: unknown setting %q%s", where, name, s.proposal(name))
	}
	if value.Kind != yaml.ScalarNode {
		return fmt.Errorf("%s: %s takes one value, not a list or a mapping", where, name)
	}
	return s.set(f, value.Value, "file "+where)
}

// proposal is what to write instead of an unknown name.
func (s *Settings) proposal(name string) string {
	best, least := "", 4 // More edits than 3 are no misspelling.
	s.all.VisitAll(func(f *pflag.Flag) {
		if d := editDistance(strings.ToLower(strings.ReplaceAll(name, "_", "-")), f.Name); d < least {
			best, least = f.Name, d
		}
	})
	if best == "" {
		return "; duelogd --print-config lists the known ones"
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the single-character edits from a to b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// yamlScalar writes a flag's value so that loadFile reads it back.
func yamlScalar(v pflag.Value) string {
	s := v.String()
	if s == "" {
		return `""`
	}
	var out yaml.Node
	out.SetString(s)
	if v.Type() == "bool" || v.Type() == "int64" {
		return s
	}
	b, err := yaml.Marshal(&out)
	if err != nil {
		return fmt.Sprintf("%q", s)
	}
	return strings.TrimSpace(string(b))
}
