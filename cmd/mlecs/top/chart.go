package top

import (
	"fmt"
	"math"
	"strings"

	"charm.land/lipgloss/v2"
)

// curve is one line of a chart.
type curve struct {
	name   string
	style  lipgloss.Style
	dotted bool
	x, y   []float64
}

// canvas draws with the eight dots of Braille characters: every cell is two dots wide and four high. A cell has the style of the last curve
// that went through it.
type canvas struct {
	width, height int // cells
	dots          []uint8
	by            []int // curve, from 1
}

// braille are the bits of a cell's dots, by row and column (Unicode 10.0, chapter 21.1).
var braille = [4][2]uint8{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

func newCanvas(width, height int) *canvas {
	return &canvas{width, height, make([]uint8, width*height), make([]int, width*height)}
}

// dot sets one dot; those outside are left out.
func (c *canvas) dot(x, y, by int) {
	if x < 0 || y < 0 || x >= 2*c.width || y >= 4*c.height {
		return
	}
	cell := y/4*c.width + x/2
	c.dots[cell] |= braille[y%4][x%2]
	c.by[cell] = by
}

// line sets the dots between two, every other one if dotted.
func (c *canvas) line(x0, y0, x1, y1 float64, by int, dotted bool) {
	steps := int(math.Max(math.Abs(x1-x0), math.Abs(y1-y0)))
	steps = min(max(steps, 1), 8*(c.width+c.height))
	for i := 0; i <= steps; i++ {
		if dotted && i%4 > 1 {
			continue
		}
		t := float64(i) / float64(steps)
		c.dot(int(math.Round(x0+t*(x1-x0))), int(math.Round(y0+t*(y1-y0))), by)
	}
}

// axis is the width of the labels at the left.
const axis = 5

// chart draws curves over rounds, with values from 0 to 1, as lines of the given width: a legend, the drawing, and the rounds.
func chart(width, height int, curves []curve) []string {
	lowest, highest := math.Inf(1), math.Inf(-1)
	legend := ""
	for _, c := range curves {
		for _, x := range c.x {
			lowest, highest = math.Min(lowest, x), math.Max(highest, x)
		}
		mark := "──"
		if c.dotted {
			mark = "╌╌"
		}
		last := ""
		if n := len(c.y); n > 0 {
			last = fmt.Sprintf(" %.3f", c.y[n-1])
		}
		legend += c.style.Render(mark) + " " + c.name + last + "   "
	}
	lines := []string{strings.Repeat(" ", axis) + legend}
	if height < 4 || width < 2*axis {
		return lines
	}
	if highest <= lowest {
		highest = lowest + 1
	}
	area := newCanvas(width-axis-1, height-2)
	px := func(x float64) float64 { return (x - lowest) / (highest - lowest) * float64(2*area.width-1) }
	py := func(y float64) float64 { return (1 - min(max(y, 0), 1)) * float64(4*area.height-1) }
	for i, c := range curves {
		for k := range c.x {
			before := max(k-1, 0)
			area.line(px(c.x[before]), py(c.y[before]), px(c.x[k]), py(c.y[k]), i+1, c.dotted)
		}
	}
	for row := range area.height {
		label := ""
		switch row {
		case 0:
			label = "1.0"
		case area.height / 2:
			label = "0.5"
		case area.height - 1:
			label = "0.0"
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%*s│", axis-1, label)
		for col := range area.width {
			cell := row*area.width + col
			if area.dots[cell] == 0 {
				b.WriteByte(' ')
				continue
			}
			b.WriteString(curves[area.by[cell]-1].style.Render(string(rune(0x2800) + rune(area.dots[cell]))))
		}
		lines = append(lines, b.String())
	}
	left, right := fmt.Sprintf("round %g", lowest), fmt.Sprintf("%g", highest)
	gap := max(width-axis-len(left)-len(right)-1, 1)
	return append(lines, strings.Repeat(" ", axis)+left+strings.Repeat(" ", gap)+right)
}
