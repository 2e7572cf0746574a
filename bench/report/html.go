package report

import (
	"fmt"
	"html/template"
	"io"
	"strings"

	"github.com/duelog/duelog/bench"
)

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>duelog-bench, {{.Date}}</title>
<style>
body { font-family: sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #111; background: #fff }
pre { overflow-x: auto; background: #f6f6f6; padding: 1rem; font-size: 12px; line-height: 1.45 }
figure { margin: 1.5rem 0; overflow-x: auto }
</style>
</head>
<body>
<h1>duelog-bench</h1>
<p>{{.Date}}, revision {{.Revision}}. Every figure is of a run that lost, repeated, altered or advanced no message.
"of limit" is the share of what this machine can do at best with the same bytes, measured in the same run.</p>
<pre>{{.Table}}</pre>
{{range .Figures}}<figure>
{{.}}</figure>
{{end}}</body>
</html>
`))

// HTML writes a page with the table and all figures. It refers to nothing
// outside of itself.
func HTML(w io.Writer, f *bench.File) error {
	var table strings.Builder
	if err := Table(&table, f); err != nil {
		return err
	}
	var figures []template.HTML
	for _, c := range charts(f) {
		s, err := c.svg()
		if err != nil {
			return err
		}
		figures = append(figures, template.HTML(s)) // made here, with every text escaped
	}
	err := page.Execute(w, struct {
		Date, Revision, Table string
		Figures               []template.HTML
	}{f.Date.UTC().Format("2006-01-02 15:04 MST"), f.Revision, table.String(), figures})
	if err != nil {
		return fmt.Errorf("write page: %w", err)
	}
	return nil
}
