package report

import (
	"fmt"
	"html"
	"strings"
)

// Geometry of a figure in pixels: the plot and its margins.
const (
	plotWidth    = 520
	plotHeight   = 240
	marginLeft   = 64
	marginTop    = 30
	marginBottom = 42
	legendWidth  = 150
	svgWidth     = marginLeft + plotWidth + legendWidth
	svgHeight    = marginTop + plotHeight + marginBottom
)

// palette can be told apart by colour-blind readers too (Okabe and Ito).
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a8a00"}

// svg draws c. It uses no style sheet and no font of its own, so that it looks
// the same wherever it is embedded.
func (c *chart) svg() (string, error) {
	x0, x1, y0, y1, err := c.bounds()
	if err != nil {
		return "", err
	}
	d := drawing{x: newAxis(x0, x1, c.logX), y: newAxis(y0, y1, c.logY)}
	fmt.Fprintf(&d.s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="11" role="img" aria-label="%s">`+"\n",
		svgWidth, svgHeight, svgWidth, svgHeight, html.EscapeString(c.title))
	fmt.Fprintf(&d.s, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", svgWidth, svgHeight)
	d.text(marginLeft, 18, "start", "#111", c.title)
	d.axes(c)
	for i, l := range c.lines {
		d.line(l, palette[i%len(palette)], i, c.markers)
	}
	d.s.WriteString("</svg>\n")
	return d.s.String(), nil
}

type drawing struct {
	s    strings.Builder
	x, y axis
}

func (d *drawing) px(v float64) float64 { return marginLeft + plotWidth*d.x.at(v) }
func (d *drawing) py(v float64) float64 { return marginTop + plotHeight*(1-d.y.at(v)) }

func (d *drawing) text(x, y float64, anchor, colour, s string) {
	fmt.Fprintf(&d.s, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, colour, html.EscapeString(s))
}

func (d *drawing) rule(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(&d.s, `<path d="M%.1f %.1fL%.1f %.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (d *drawing) axes(c *chart) {
	const bottom, right = marginTop + plotHeight, marginLeft + plotWidth
	for _, v := range d.x.ticks() {
		d.rule(d.px(v), marginTop, d.px(v), bottom, "#e4e4e4")
		d.text(d.px(v), bottom+14, "middle", "#444", tickLabel(v))
	}
	for _, v := range d.y.ticks() {
		d.rule(marginLeft, d.py(v), right, d.py(v), "#e4e4e4")
		d.text(marginLeft-6, d.py(v)+4, "end", "#444", tickLabel(v))
	}
	d.rule(marginLeft, bottom, right, bottom, "#444")
	d.rule(marginLeft, marginTop, marginLeft, bottom, "#444")
	d.text(marginLeft+plotWidth/2, bottom+32, "middle", "#111", c.x)
	fmt.Fprintf(&d.s, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle" fill="#111">%s</text>`+"\n",
		marginTop+plotHeight/2, html.EscapeString(c.y))
}

// line draws l and its entry in the legend.
func (d *drawing) line(l line, colour string, i int, markers bool) {
	d.s.WriteString(`<path fill="none" stroke-width="1.6" stroke="` + colour + `" d="`)
	for j, p := range l.pts {
		op := "L"
		if j == 0 {
			op = "M"
		}
		fmt.Fprintf(&d.s, "%s%.1f %.1f", op, d.px(p.x), d.py(p.y))
	}
	d.s.WriteString("\"/>\n")
	if markers {
		for _, p := range l.pts {
			fmt.Fprintf(&d.s, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", d.px(p.x), d.py(p.y), colour)
		}
	}
	y := float64(marginTop + 8 + 16*i)
	const x = marginLeft + plotWidth + 10
	d.rule(x, y, x+16, y, colour)
	d.text(x+21, y+4, "start", "#111", l.name)
}
