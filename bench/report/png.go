package report

import (
	"fmt"
	"image/color"
	"os"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/duelog/duelog/bench"
)

// PNG writes every figure as a file into dir, which is made when it is missing,
// and returns their paths.
func PNG(dir string, f *bench.File) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("write figures: %w", err)
	}
	var paths []string
	for _, c := range charts(f) {
		path := filepath.Join(dir, c.name+".png")
		if err := c.png(path); err != nil {
			return paths, fmt.Errorf("write figure %s: %w", path, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (c *chart) png(path string) error {
	x0, x1, y0, y1, err := c.bounds()
	if err != nil {
		return err
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	setAxis(&p.X, newAxis(x0, x1, c.logX))
	setAxis(&p.Y, newAxis(y0, y1, c.logY))
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	for i, l := range c.lines {
		pts := make(plotter.XYs, len(l.pts))
		for j, q := range l.pts {
			pts[j] = plotter.XY{X: q.x, Y: q.y}
		}
		drawn, err := plotter.NewLine(pts)
		if err != nil {
			return err
		}
		drawn.Color, drawn.Width = colourOf(palette[i%len(palette)]), vg.Points(1.4)
		p.Add(drawn)
		p.Legend.Add(l.name, drawn)
	}
	return p.Save(20*vg.Centimeter, 11*vg.Centimeter, path)
}

// setAxis gives a figure of gonum the axis that ours have.
func setAxis(to *plot.Axis, a axis) {
	to.Min, to.Max = a.from, a.to
	if a.log {
		to.Scale = plot.LogScale{}
	}
	var ticks []plot.Tick
	for _, v := range a.ticks() {
		ticks = append(ticks, plot.Tick{Value: v, Label: tickLabel(v)})
	}
	to.Tick.Marker = plot.ConstantTicks(ticks)
}

// colourOf reads "#rrggbb".
func colourOf(s string) color.Color {
	c := color.RGBA{A: 255}
	_, _ = fmt.Sscanf(s, "#%02x%02x%02x", &c.R, &c.G, &c.B) // the palette is ours
	return c
}
