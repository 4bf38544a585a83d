package experiment

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// write puts results.json, table.md, curves.png and curves.svg into dir.
func (r *Results) write(dir string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := writeFile(filepath.Join(dir, "results.json"), append(raw, '\n')); err != nil {
		return err
	}
	var md strings.Builder
	r.Markdown(&md)
	if err := writeFile(filepath.Join(dir, "table.md"), []byte(md.String())); err != nil {
		return err
	}
	return r.writeCurves(dir)
}

// ReadResults reads a results.json.
func ReadResults(file string) (*Results, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	var r Results
	if err := json.Unmarshal(raw, &r); err != nil {
		return nil, fmt.Errorf("read results %s: %w", file, err)
	}
	return &r, nil
}

// Markdown writes the tables for people.
func (r *Results) Markdown(w io.Writer) {
	s := r.Settings
	fmt.Fprintf(w, "# %s\n\n", r.Dataset.Name)
	if r.Dataset.Generated {
		fmt.Fprint(w, "Generated data.\n\n")
	}
	seeds := 0
	if len(r.Summary) > 0 {
		seeds = r.Summary[0].Seeds
	}
	fmt.Fprintf(w, "%d seeds, %d nodes with at most %s private rows each, %s public rows, modality rate %s, %d structure(s), public labels at the %s, %d rounds; scored on %s rows.\n",
		seeds, s.Nodes, orAll(s.RowsPerNode), orAll(s.PublicRows), orNatural(s.ModalityRate), s.Families, labelsAt(s.PublicLabels), s.Rounds, s.Scored)
	fmt.Fprint(w, "Mean and [95 % interval of the mean, bootstrap over seeds; of one seed there is none]. Gains are relative, in percent, paired by seed.\n")
	fmt.Fprint(w, "Bytes are what an edge sends, by the same codecs for every method; mlecs is scored with what they lose, the others as if they lost nothing.\n\n")
	fmt.Fprintln(w, r.scoreTable().RenderMarkdown())
	if t := r.gainTable(); t != nil {
		fmt.Fprintf(w, "\n%s\n", t.RenderMarkdown())
	}
	if t := r.costTable(); t != nil {
		fmt.Fprintf(w, "\nWhat a part is worth: Rouge-LSum of mlecs minus that of mlecs without it.\n\n%s\n", t.RenderMarkdown())
	}
	fmt.Fprintf(w, "\nEdges by the modalities that they have (mean Rouge-LSum; the best constant answer beside it).\n\n%s\n", r.subsetTable().RenderMarkdown())
}

// Text writes the scores for a terminal.
func (r *Results) Text(w io.Writer) {
	fmt.Fprintln(w, r.scoreTable().Render())
	if t := r.gainTable(); t != nil {
		fmt.Fprintln(w, t.Render())
	}
	if t := r.costTable(); t != nil {
		fmt.Fprintln(w, t.Render())
	}
}

func (r *Results) scoreTable() table.Writer {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"method", "edges Rouge-LSum", "edges exact match", "server Rouge-LSum", "server exact match", "bytes/edge/round", "of the model's bytes", "params sent"})
	for _, s := range r.Summary {
		t.AppendRow(table.Row{s.Method, s.Edges, s.EdgesExactMatch, s.Server, s.ServerExactMatch,
			fmt.Sprintf("%.0f", s.BytesPerEdgeRound), fmt.Sprintf("%.2g", s.FractionOfModelBytes), fmt.Sprintf("%.2f %%", 100*s.FractionOfParams)})
	}
	return t
}

func (r *Results) gainTable() table.Writer {
	t := table.NewWriter()
	header := table.Row{"gain in percent"}
	var rows []table.Row
	for _, s := range r.Summary {
		if s.Method != ours && s.Method != literal {
			continue
		}
		row := table.Row{s.Method}
		add := func(what string, g *Gains) {
			if g == nil {
				return
			}
			if len(rows) == 0 {
				header = append(header, "edges over "+what, "server over "+what)
			}
			row = append(row, fmt.Sprintf("%v (%s)", g.Edges, g.Edges.Over), fmt.Sprintf("%v (%s)", g.Server, g.Server.Over))
		}
		add("best baseline", s.GainBest)
		add("fedavg-zero", s.GainZero)
		if s.ClosedGap != nil {
			if len(rows) == 0 {
				header = append(header, "gap to centralised closed")
			}
			row = append(row, fmt.Sprintf("%.0f %%", 100**s.ClosedGap))
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 || len(header) == 1 {
		return nil
	}
	t.AppendHeader(header)
	t.AppendRows(rows)
	return t
}

func (r *Results) costTable() table.Writer {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"without", "edges", "server"})
	n := 0
	for _, s := range r.Summary {
		if s.Cost == nil {
			continue
		}
		n++
		t.AppendRow(table.Row{strings.TrimPrefix(s.Method, ours+"-"), s.Cost.Edges.digits(3), s.Cost.Server.digits(3)})
	}
	if n == 0 {
		return nil
	}
	return t
}

// subsetTable has a row for every set of modalities and a column for every method.
func (r *Results) subsetTable() table.Writer {
	type cell struct{ sum, constant, n float64 }
	cells := map[string]map[string]cell{}
	var subsets, methods []string
	for _, run := range r.Runs {
		if !slices.Contains(methods, run.Method) {
			methods = append(methods, run.Method)
		}
		for _, n := range run.PerNode {
			key := strings.Join(n.Modalities, "+")
			if cells[key] == nil {
				cells[key] = map[string]cell{}
				subsets = append(subsets, key)
			}
			c := cells[key][run.Method]
			cells[key][run.Method] = cell{c.sum + n.RougeLsum, c.constant + n.Constant, c.n + 1}
		}
	}
	slices.Sort(subsets)
	t := table.NewWriter()
	header := table.Row{"modalities", "edges", "constant"}
	for _, m := range methods {
		header = append(header, m)
	}
	t.AppendHeader(header)
	for _, key := range subsets {
		var row table.Row
		for i, m := range methods {
			c := cells[key][m]
			if i == 0 {
				row = table.Row{key, int(c.n), fmt.Sprintf("%.3f", c.constant/max(c.n, 1))}
			}
			row = append(row, fmt.Sprintf("%.3f", c.sum/max(c.n, 1)))
		}
		t.AppendRow(row)
	}
	return t
}

func (e Estimate) String() string { return withInterval("%.3f", e.Mean, e.CI95) }

func (g Gain) String() string { return g.digits(2) }

func (g Gain) digits(n int) string {
	return withInterval(fmt.Sprintf("%%+.%df", n), g.Mean, g.CI95)
}

// withInterval leaves out an interval without width: it is that of a single seed, which says nothing of others.
func withInterval(format string, mean float64, ci [2]float64) string {
	if ci[0] == ci[1] {
		return fmt.Sprintf(format, mean)
	}
	return fmt.Sprintf(format+" ["+format+", "+format+"]", mean, ci[0], ci[1])
}

func orAll(n int) string {
	if n == 0 {
		return "all"
	}
	return fmt.Sprint(n)
}

func orNatural(rate float64) string {
	if rate == 0 {
		return "as the data suggests"
	}
	return fmt.Sprint(rate)
}

func labelsAt(who string) string {
	if who == "edges" {
		return "edges and the server"
	}
	return "server alone"
}
