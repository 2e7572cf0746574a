package tools

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// metrics is what a Prometheus text page says: name, then labels as they stand
// ("" without), to value.
type metrics map[string]map[string]float64

// maxMetricLines bounds a page.
const maxMetricLines = 1 << 20

// readMetrics reads the metrics of a broker at its admin address.
func readMetrics(ctx context.Context, h *http.Client, admin string) (metrics, error) {
	address := admin
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, usagef("--admin %q: write it as HOST:PORT", admin)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("/metrics").String(), nil)
	if err != nil {
		return nil, usagef("--admin %q: write it as HOST:PORT", admin)
	}
	resp, err := h.Do(req)
	if err != nil {
		return nil, hint(fmt.Errorf("read the metrics: %w", err), "name the admin address of the broker with --admin HOST:PORT; duelogd prints it when it starts")
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, hint(fmt.Errorf("read the metrics at %s: %s", u, resp.Status), "is it the admin address of a duelogd? see duelogd --print-config")
	}
	return parseMetrics(resp.Body)
}

// parseMetrics reads the Prometheus text format. Comments, times and exemplars
// are passed over.
func parseMetrics(r io.Reader) (metrics, error) {
	m := metrics{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if n > maxMetricLines {
			return nil, errors.New("the page of metrics is too long")
		}
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, labels, value, err := parseMetric(line)
		if err != nil {
			return nil, fmt.Errorf("line %d of the metrics: %w", n, err)
		}
		if m[name] == nil {
			m[name] = map[string]float64{}
		}
		m[name][labels] = value
	}
	return m, lines.Err()
}

func parseMetric(line string) (name, labels string, value float64, err error) {
	end := strings.IndexAny(line, "{ \t")
	if end <= 0 {
		return "", "", 0, fmt.Errorf("%.40q is no metric", line)
	}
	name, rest := line[:end], line[end:]
	if rest[0] == '{' {
		n := labelsEnd(rest)
		if n < 0 {
			return "", "", 0, fmt.Errorf("the labels of %.40s do not end", name)
		}
		labels, rest = rest[1:n], rest[n+1:]
	}
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	value, err = strconv.ParseFloat(number, 64)
	if err != nil {
		return "", "", 0, fmt.Errorf("the value %.40q of %.40s is no number", number, name)
	}
	return name, labels, value, nil
}

// labelsEnd returns where the brace that s begins with is closed, outside of
// quotes; -1 when it is not.
func labelsEnd(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == '}' && !quoted:
			return i
		}
	}
	return -1
}

// sum adds a metric up over all its labels.
func (m metrics) sum(name string) (total float64) {
	for _, v := range m[name] {
		total += v
	}
	return total
}

// buckets returns the upper bounds of a histogram without other labels, in
// ascending order, with how many observations lie at or below each.
func (m metrics) buckets(name string) []bucket {
	var list []bucket
	for labels, n := range m[name+"_bucket"] {
		text, ok := strings.CutPrefix(labels, `le="`)
		if !ok {
			continue
		}
		bound, err := strconv.ParseFloat(strings.TrimSuffix(text, `"`), 64)
		if err == nil {
			list = append(list, bucket{bound, n})
		}
	}
	sortBuckets(list)
	return list
}
