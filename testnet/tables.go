package testnet

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// The comparison, as people call it; the report's keys are constant, standalone and together.
const (
	labelConstant   = "constant"
	labelStandalone = "alone"
	labelTogether   = "together"
)

// Print shows the table of all nodes, the means over the edges, and what the exchange cost.
func (r *Report) Print(w io.Writer) {
	fmt.Fprintf(w, "\n%s\n\n", r.headline())
	t := table.NewWriter()
	t.SetStyle(plainStyle())
	t.AppendHeader(table.Row{"", "", "", "", "test", "Rouge-LSum", "Rouge-LSum", "Rouge-LSum", "exact match", "exact match", "exact match", "bytes", "bytes"},
		table.RowConfig{AutoMerge: true, AutoMergeAlign: text.AlignLeft})
	t.AppendHeader(table.Row{"node", "role", "domain", "modalities", "rows", labelConstant, labelStandalone, labelTogether, labelConstant, labelStandalone, labelTogether, "sent", "received"})
	for _, n := range r.Nodes {
		t.AppendRow(n.cells())
	}
	for _, cells := range r.meanCells() {
		t.AppendFooter(cells)
	}
	right := make([]table.ColumnConfig, 0, 9)
	for c := 5; c <= 13; c++ {
		right = append(right, table.ColumnConfig{Number: c, Align: text.AlignRight, AlignHeader: text.AlignRight, AlignFooter: text.AlignRight})
	}
	t.SetColumnConfigs(right)
	fmt.Fprintf(w, "%s\n\n%s\n\n%s\n", t.Render(), r.Communication, r.Communication.table().Render())
}

// WriteMarkdown writes report.md: the same, for a web page or a pull request.
func (r *Report) WriteMarkdown(w io.Writer) error {
	t := table.NewWriter()
	t.AppendHeader(table.Row{"node", "role", "domain", "modalities", "test rows",
		"Rouge-LSum " + labelConstant, "Rouge-LSum " + labelStandalone, "Rouge-LSum " + labelTogether,
		"exact match " + labelConstant, "exact match " + labelStandalone, "exact match " + labelTogether, "sent", "received"})
	for _, n := range r.Nodes {
		t.AppendRow(n.cells())
	}
	t.AppendRows(r.meanCells())

	rounds := table.NewWriter()
	rounds.AppendHeader(table.Row{"round", "seconds", "aggregate", "inputs (weight)"})
	names := map[string]string{}
	for _, n := range r.Nodes {
		names[n.PeerID] = n.Name
	}
	for _, rd := range r.Rounds {
		inputs := make([]string, len(rd.Inputs))
		for i, in := range rd.Inputs {
			name := names[in.Author]
			if name == "" {
				name = in.Author
			}
			inputs[i] = fmt.Sprintf("%s (%.2f)", name, in.Weight)
			if in.Late > 0 {
				inputs[i] += fmt.Sprintf(", %s late", count(int(in.Late), "round"))
			}
		}
		rounds.AppendRow(table.Row{rd.Round, fmt.Sprintf("%.1f", rd.Seconds), "`" + rd.Aggregate + "`", strings.Join(inputs, ", ")})
	}
	_, err := fmt.Fprintf(w, "# mlecs testnet\n\n%s\n\n%s\n\n%s\n\n%s\n\n![Rouge-LSum by round](curves.svg)\n\n## Rounds\n\n%s\n",
		r.headline(), t.RenderMarkdown(), r.Communication, r.Communication.table().RenderMarkdown(), rounds.RenderMarkdown())
	return err
}

// headline tells the setting in one line, and says so where the data is generated.
func (r *Report) headline() string {
	kind := "data set"
	if r.Dataset.Generated {
		kind = "generated data"
	}
	edges, families := r.edges()
	who := count(len(edges), "edge")
	if families > 1 {
		who += fmt.Sprintf(" of %d families", families)
	}
	return fmt.Sprintf("%s and %s, %s in %.0f s, seed %d, %s %s (%d rows: %s)",
		who, count(len(r.Nodes)-len(edges), "super-peer"), count(len(r.Rounds), "round"), r.WallSeconds, r.Seed, kind, r.Dataset.Path, r.Dataset.Rows, strings.Join(r.Dataset.Modalities, ", "))
}

func (n NodeReport) cells() table.Row {
	role := n.Role
	if n.Family > 0 {
		role = fmt.Sprintf("%s, family %d", n.Role, n.Family)
	}
	return table.Row{n.Name, role, n.Domain, strings.Join(n.Modalities, " "), n.TestRows,
		score(n.RougeLsum.Constant), score(n.RougeLsum.Standalone), score(n.RougeLsum.Together),
		score(n.ExactMatch.Constant), score(n.ExactMatch.Standalone), score(n.ExactMatch.Together),
		humanize.IBytes(uint64(n.BytesSent)), humanize.IBytes(uint64(n.BytesReceived))}
}

// meanCells are the means of every family, if there are several, and of all edges.
func (r *Report) meanCells() []table.Row {
	edges, families := r.edges()
	var rows []table.Row
	if families > 1 {
		for family := range families {
			of := slices.DeleteFunc(slices.Clone(edges), func(n NodeReport) bool { return n.Family != family })
			cells := means(of).cells()
			cells[0] = fmt.Sprintf("mean of family %d", family)
			rows = append(rows, cells)
		}
	}
	cells := means(edges).cells()
	cells[0] = "mean of edges"
	return append(rows, cells)
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func score(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.3f", *v)
}

// plainStyle aligns columns by spaces, with a rule under the header and above the footer.
func plainStyle() table.Style {
	s := table.StyleLight
	s.Options = table.Options{SeparateHeader: true, SeparateFooter: true}
	s.Format.Header, s.Format.Footer = text.FormatDefault, text.FormatDefault
	s.Box.PaddingLeft, s.Box.PaddingRight = "", "  "
	return s
}
