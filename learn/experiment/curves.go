package experiment

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	curveWidth  = 11 * vg.Inch
	curveHeight = 5 * vg.Inch
)

// writeCurves draws the mean score by round, edges left and server right, where runs kept curves.
func (r *Results) writeCurves(dir string) error {
	edges, server, err := r.plots()
	if edges == nil || err != nil {
		return err
	}
	both := func(c draw.Canvas) {
		half := c.Max.X / 2
		edges.Draw(draw.Crop(c, 0, -half, 0, 0))
		server.Draw(draw.Crop(c, half, 0, 0, 0))
	}
	img := vgimg.NewWith(vgimg.UseWH(curveWidth, curveHeight), vgimg.UseDPI(150))
	both(draw.New(img))
	vec := vgsvg.New(curveWidth, curveHeight)
	both(draw.New(vec))
	for name, canvas := range map[string]io.WriterTo{"curves.png": vgimg.PngCanvas{Canvas: img}, "curves.svg": vec} {
		var buf bytes.Buffer
		if _, err := canvas.WriteTo(&buf); err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
		if err := writeFile(filepath.Join(dir, name), buf.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// plots are nil if no run kept a curve.
func (r *Results) plots() (edges, server *plot.Plot, err error) {
	edges, server = newPlot("edges"), newPlot("server")
	drawn := 0
	for _, s := range r.Summary {
		of := func(y func(Point) float64) plotter.XYs {
			sum, n := map[uint64]float64{}, map[uint64]float64{}
			var points plotter.XYs
			for _, run := range r.Runs {
				if run.Method != s.Method {
					continue
				}
				for _, p := range run.Curve {
					sum[p.Round] += y(p)
					n[p.Round]++
				}
			}
			for round := range uint64(r.Settings.Rounds + 1) {
				if n[round] > 0 {
					points = append(points, plotter.XY{X: float64(round), Y: sum[round] / n[round]})
				}
			}
			return points
		}
		e := of(func(p Point) float64 { return p.Edges })
		if len(e) == 0 {
			continue
		}
		for _, part := range []struct {
			on     *plot.Plot
			points plotter.XYs
		}{{edges, e}, {server, of(func(p Point) float64 { return p.Server })}} {
			line, err := plotter.NewLine(part.points)
			if err != nil {
				return nil, nil, fmt.Errorf("draw the curve of %s: %w", s.Method, err)
			}
			line.Color, line.Dashes, line.Width = plotutil.Color(drawn), plotutil.Dashes(drawn/7), vg.Points(1.5)
			if s.Method == ours {
				line.Width = vg.Points(3)
			}
			part.on.Add(line)
			part.on.Legend.Add(s.Method, line)
		}
		drawn++
	}
	if drawn == 0 {
		return nil, nil, nil
	}
	return edges, server, nil
}

func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, "round", "Rouge-LSum"
	p.Legend.TextStyle.Font.Size = vg.Points(7)
	p.Add(plotter.NewGrid())
	return p
}
