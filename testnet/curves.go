package testnet

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/mlecs/mlecs/node/api"
)

// Curve is one node's Rouge-LSum by round.
type Curve struct {
	Node     string
	Note     string // under the name: role, modalities
	Constant *float64
	Alone    []api.RoundScore
	Together []api.RoundScore
}

// Three series that keep apart in print and for the colour-blind (Okabe and Ito's palette), by dash as well as colour.
var (
	colourTogether = color.RGBA{R: 0, G: 114, B: 178, A: 255}
	colourAlone    = color.RGBA{R: 213, G: 94, B: 0, A: 255}
	colourConstant = color.RGBA{R: 110, G: 110, B: 110, A: 255}
)

const (
	panelWidth  = 3.1 * vg.Inch
	panelHeight = 2.5 * vg.Inch
	headHeight  = 0.75 * vg.Inch
)

// WriteCurves draws one panel a node and one for the mean of the edges, all on the same scale, as PNG (150 dpi) and SVG.
func WriteCurves(png, svg io.Writer, title string, curves []Curve) error {
	cols, rows := grid(len(curves))
	width, height := vg.Length(cols)*panelWidth, vg.Length(rows)*panelHeight+headHeight

	img := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(150))
	if err := drawCurves(draw.New(img), title, curves, cols, rows); err != nil {
		return err
	}
	if _, err := (vgimg.PngCanvas{Canvas: img}).WriteTo(png); err != nil {
		return fmt.Errorf("write PNG curves: %w", err)
	}
	vec := vgsvg.New(width, height)
	if err := drawCurves(draw.New(vec), title, curves, cols, rows); err != nil {
		return err
	}
	if _, err := vec.WriteTo(svg); err != nil {
		return fmt.Errorf("write SVG curves: %w", err)
	}
	return nil
}

// grid places n panels in at most four columns.
func grid(n int) (cols, rows int) {
	if n == 0 {
		return 1, 1
	}
	rows = (n + 3) / 4
	return (n + rows - 1) / rows, rows
}

func drawCurves(c draw.Canvas, title string, curves []Curve, cols, rows int) error {
	c.SetColor(color.White)
	c.Fill(c.Rectangle.Path())
	low, high := span(curves)
	panels := make([][]*plot.Plot, rows)
	for r := range panels {
		panels[r] = make([]*plot.Plot, cols)
		for k := range panels[r] {
			i := r*cols + k
			if i >= len(curves) {
				continue
			}
			p, err := panel(curves[i], low, high)
			if err != nil {
				return fmt.Errorf("draw curves of %s: %w", curves[i].Node, err)
			}
			panels[r][k] = p
		}
	}
	body := draw.Crop(c, 0, 0, 0, -headHeight)
	tiles := draw.Tiles{Rows: rows, Cols: cols, PadX: 0.12 * vg.Inch, PadY: 0.12 * vg.Inch, PadLeft: 0.1 * vg.Inch, PadRight: 0.15 * vg.Inch, PadBottom: 0.1 * vg.Inch}
	for r, row := range plot.Align(panels, tiles, body) {
		for k, tile := range row {
			if panels[r][k] != nil {
				panels[r][k].Draw(tile)
			}
		}
	}
	head(c, title)
	return nil
}

// head writes the title and one legend for all panels.
func head(c draw.Canvas, title string) {
	style := sans(plot.New().Title.TextStyle, 12)
	style.XAlign, style.YAlign = draw.XLeft, draw.YTop
	x, y := c.Min.X+0.15*vg.Inch, c.Max.Y-0.1*vg.Inch
	c.FillText(style, vg.Point{X: x, Y: y}, title)

	y -= 0.42 * vg.Inch
	style = sans(style, 10)
	style.YAlign = draw.YCenter
	for _, s := range []struct {
		label string
		line  draw.LineStyle
	}{
		{"together (gossip)", lineStyle(colourTogether, 2)},
		{"alone (same model and steps, no exchange)", lineStyle(colourAlone, 1.5, 5, 3)},
		{"best constant answer", lineStyle(colourConstant, 1.2, 1.5, 2.5)},
	} {
		c.StrokeLine2(s.line, x, y, x+0.35*vg.Inch, y)
		x += 0.42 * vg.Inch
		c.FillText(style, vg.Point{X: x, Y: y}, s.label)
		x += style.Width(s.label) + 0.3*vg.Inch
	}
}

func panel(c Curve, low, high float64) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = c.Node
	if c.Note != "" {
		p.Title.Text += "\n" + c.Note
	}
	p.Title.TextStyle = sans(p.Title.TextStyle, 9)
	p.Title.Padding = vg.Points(4)
	p.X.Label.Text, p.Y.Label.Text = "round", "Rouge-LSum (0 to 1)"
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle = sans(axis.Label.TextStyle, 9)
		axis.Tick.Label = sans(axis.Tick.Label, 8)
	}
	p.Add(plotter.NewGrid())

	last := 1.0
	for _, s := range [][]api.RoundScore{c.Alone, c.Together} {
		for _, v := range s {
			last = math.Max(last, float64(v.Round))
		}
	}
	p.X.Tick.Marker = wholeTicks(last)
	if c.Constant != nil {
		if err := addLine(p, plotter.XYs{{X: 0, Y: *c.Constant}, {X: last, Y: *c.Constant}}, lineStyle(colourConstant, 1.2, 1.5, 2.5), false); err != nil {
			return nil, err
		}
	}
	if err := addLine(p, points(c.Alone), lineStyle(colourAlone, 1.5, 5, 3), true); err != nil {
		return nil, err
	}
	if err := addLine(p, points(c.Together), lineStyle(colourTogether, 2), true); err != nil {
		return nil, err
	}
	p.X.Min, p.X.Max = 0, last
	p.Y.Min, p.Y.Max = low, high
	return p, nil
}

func addLine(p *plot.Plot, xy plotter.XYs, style draw.LineStyle, dots bool) error {
	if len(xy) == 0 {
		return nil
	}
	l, s, err := plotter.NewLinePoints(xy)
	if err != nil {
		return err
	}
	l.LineStyle = style
	p.Add(l)
	if dots {
		s.Color, s.Radius, s.Shape = style.Color, vg.Points(2), draw.CircleGlyph{}
		p.Add(s)
	}
	return nil
}

func sans(s text.Style, points float64) text.Style {
	s.Font.Variant, s.Font.Size = "Sans", vg.Points(points)
	return s
}

func points(s []api.RoundScore) plotter.XYs {
	xy := make(plotter.XYs, len(s))
	for i, v := range s {
		xy[i] = plotter.XY{X: float64(v.Round), Y: v.RougeLsum}
	}
	return xy
}

func lineStyle(c color.Color, width float64, dashes ...float64) draw.LineStyle {
	s := draw.LineStyle{Color: c, Width: vg.Points(width)}
	for _, d := range dashes {
		s.Dashes = append(s.Dashes, vg.Points(d))
	}
	return s
}

// span is the common vertical range: all values with a margin, inside 0 to 1.
func span(curves []Curve) (low, high float64) {
	low, high = 1, 0
	see := func(v float64) { low, high = math.Min(low, v), math.Max(high, v) }
	for _, c := range curves {
		if c.Constant != nil {
			see(*c.Constant)
		}
		for _, s := range [][]api.RoundScore{c.Alone, c.Together} {
			for _, v := range s {
				see(v.RougeLsum)
			}
		}
	}
	if low > high {
		return 0, 1
	}
	return math.Max(0, math.Floor(low*10-0.2)/10), math.Min(1, math.Ceil(high*10+0.2)/10)
}

// wholeTicks labels whole rounds only, at most about seven of them.
func wholeTicks(last float64) plot.ConstantTicks {
	step := math.Max(1, math.Ceil(last/6))
	var ticks plot.ConstantTicks
	for v := 0.0; v <= last; v += step {
		ticks = append(ticks, plot.Tick{Value: v, Label: fmt.Sprintf("%.0f", v)})
	}
	return ticks
}

// meanCurve averages the edges' curves over the rounds that all of them have.
func meanCurve(edges []Curve) Curve {
	mean := Curve{Node: "mean of edges"}
	constant, count := 0.0, 0
	for _, c := range edges {
		if c.Constant != nil {
			constant += *c.Constant
			count++
		}
	}
	if count > 0 {
		constant /= float64(count)
		mean.Constant = &constant
	}
	mean.Alone = meanScores(edges, func(c Curve) []api.RoundScore { return c.Alone })
	mean.Together = meanScores(edges, func(c Curve) []api.RoundScore { return c.Together })
	return mean
}

func meanScores(curves []Curve, pick func(Curve) []api.RoundScore) []api.RoundScore {
	if len(curves) == 0 {
		return nil
	}
	var out []api.RoundScore
	for _, first := range pick(curves[0]) {
		sum, all := first.Score, true
		for _, c := range curves[1:] {
			s, ok := scoreOf(pick(c), first.Round)
			if !ok {
				all = false
				break
			}
			sum.RougeLsum += s.RougeLsum
			sum.ExactMatch += s.ExactMatch
		}
		if !all {
			continue
		}
		n := float64(len(curves))
		out = append(out, api.RoundScore{Round: first.Round, Score: api.Score{RougeLsum: sum.RougeLsum / n, ExactMatch: sum.ExactMatch / n}})
	}
	return out
}

func scoreOf(s []api.RoundScore, round uint64) (api.Score, bool) {
	for _, v := range s {
		if v.Round == round {
			return v.Score, true
		}
	}
	return api.Score{}, false
}
