package command

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/report"
)

// outputs are the files that a command writes, each only when it is named.
type outputs struct {
	json, html, png, gobench, markdown string
	quiet                              bool
}

func (o *outputs) bind(fs *pflag.FlagSet) {
	fs.StringVar(&o.json, "json", "", "write results to this `file`, anew after every run")
	o.bindReports(fs)
}

func (o *outputs) bindReports(fs *pflag.FlagSet) {
	fs.StringVar(&o.html, "html", "", "write one page with table and figures to this `file`")
	fs.StringVar(&o.markdown, "markdown", "", "write the tables as Markdown to this `file`")
	fs.StringVar(&o.png, "png", "", "write figures as PNG into this `directory`")
	fs.StringVar(&o.gobench, "gobench", "", "write lines for benchstat to this `file`, - for standard output")
	fs.BoolVar(&o.quiet, "quiet", false, "print no table")
}

// save writes the JSON alone.
func (o *outputs) save(f *bench.File) error {
	if o.json == "" {
		return nil
	}
	return f.WriteFile(o.json)
}

// write writes everything.
func (o *outputs) write(stdout io.Writer, f *bench.File) error {
	if err := o.save(f); err != nil {
		return err
	}
	if !o.quiet {
		if err := report.Table(stdout, f); err != nil {
			return err
		}
	}
	if o.gobench == "-" {
		if err := report.GoBench(stdout, f); err != nil {
			return err
		}
	} else if err := toFile(o.gobench, f, report.GoBench); err != nil {
		return err
	}
	if err := toFile(o.markdown, f, report.Markdown); err != nil {
		return err
	}
	if err := toFile(o.html, f, report.HTML); err != nil {
		return err
	}
	if o.png == "" {
		return nil
	}
	_, err := report.PNG(o.png, f)
	return err
}

// toFile writes a report to path, unless that is empty.
func toFile(path string, f *bench.File, report func(io.Writer, *bench.File) error) error {
	if path == "" {
		return nil
	}
	w, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	err = report(w, f)
	if cerr := w.Close(); err == nil {
		err = cerr
	}
	return err
}
