package server

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func readme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	return string(b)
}

// tableRows returns the cells of every row of the README whose first cell is code.
func tableRows(t *testing.T) map[string][]string {
	t.Helper()
	rows := map[string][]string{}
	for line := range strings.Lines(readme(t)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if name, ok := strings.CutPrefix(cells[0], "`"); ok && len(cells) == 3 {
			rows[strings.TrimSuffix(name, "`")] = cells
		}
	}
	return rows
}

func TestTheReadmeListsEverySettingWithItsDefault(t *testing.T) {
	rows := tableRows(t)
	NewSettings().Flags().VisitAll(func(f *pflag.Flag) {
		row := rows[f.Name]
		require.NotNil(t, row, "README.md has no row for %s", f.Name)
		if f.DefValue != "" {
			require.Equal(t, "`"+f.DefValue+"`", row[1], f.Name)
		}
	})
}

var metricName = regexp.MustCompile(`fqName: "((?:duelog|rocketmq)_\w+)"`)

func TestTheReadmeListsEveryMetric(t *testing.T) {
	reg := newRegistry()
	s, err := New(anywhere(t), &Options{Registry: reg})
	require.NoError(t, err)
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		reg.Describe(descs)
	}()
	rows, exported := tableRows(t), map[string]bool{}
	for d := range descs {
		if m := metricName.FindStringSubmatch(d.String()); m != nil {
			exported[m[1]] = true
		}
	}
	require.NoError(t, s.Close())
	for name := range exported {
		require.NotNil(t, rows[name], "README.md does not explain the metric %s", name)
	}
	for name := range rows {
		if strings.HasPrefix(name, "duelog_") || strings.HasPrefix(name, "rocketmq_") {
			require.True(t, exported[name], "README.md explains a metric that is not exported: %s", name)
		}
	}
}

var excerpt = regexp.MustCompile("(?s)<!-- excerpt: (\\S+) -->\n```\\w+\n(.*?)```")

func TestTheSnippetsOfTheReadmeArePartsOfFilesThatAreRun(t *testing.T) {
	found := excerpt.FindAllStringSubmatch(readme(t), -1)
	require.Len(t, found, 3, "one each for Java, Go and Python")
	for _, m := range found {
		source, err := os.ReadFile(filepath.Join("..", m[1]))
		require.NoError(t, err)
		require.Contains(t, unindented(string(source)), unindented(m[2]), "excerpt of %s", m[1])
	}
}

// unindented drops leading white space, which differs between a file and a snippet.
func unindented(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		b.WriteString(strings.TrimLeft(line, " \t"))
	}
	return b.String()
}
