package testnet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/mlecs/mlecs/node/api"
)

// Communication is what an edge exchanges in a round, means over the deltas of rounds 1 and up. It counts what is for the edge: that it
// forwards records of others, and serves blobs to them, is in the bytes of the nodes.
type Communication struct {
	ParamsTotal            float64 `json:"params_total"`               // of an edge's model, mean over edges
	ParamsSentPerEdgeRound float64 `json:"params_sent_per_edge_round"` // in one delta
	Fraction               float64 `json:"fraction"`                   // sent / total
	BytesPerEdgeRound      float64 `json:"bytes_per_edge_round"`       // blobs and signed record of one delta
	BytesFraction          float64 `json:"bytes_fraction"`             // of the model's bytes as float32

	// Bytes by component, and of what comes with them: what an edge sends in a round, and receives of the aggregate that it starts from.
	Up   map[string]float64 `json:"up"`
	Down map[string]float64 `json:"down"`
}

// What is exchanged beside components.
const (
	partRecord      = "record"
	partSupervision = "supervision"
)

// communication averages over all deltas that any node knows.
func communication(nodes []NodeReport, rounds []api.Round, deltas map[string]api.Delta) Communication {
	c := Communication{Up: map[string]float64{}, Down: map[string]float64{}}
	edges := 0.0
	for _, n := range nodes {
		if n.Role == roleEdge {
			c.ParamsTotal += float64(n.ParamsTotal)
			edges++
		}
	}
	if edges > 0 {
		c.ParamsTotal /= edges
	}
	aggregates := map[string]api.Round{}
	for _, r := range rounds {
		aggregates[r.Aggregate] = r
	}
	for _, d := range deltas { // whole numbers far below 2^53: any order gives the same sum
		c.ParamsSentPerEdgeRound += float64(d.Params)
		c.BytesPerEdgeRound += float64(d.Bytes + d.RecordBytes)
		c.Up[partRecord] += float64(d.RecordBytes)
		for _, part := range d.Components {
			c.Up[part.Name] += float64(part.Bytes)
		}
		if len(d.Parents) > 0 {
			c.receive(aggregates[d.Parents[0]], d)
		}
	}
	if n := float64(len(deltas)); n > 0 {
		c.ParamsSentPerEdgeRound /= n
		c.BytesPerEdgeRound /= n
		for _, parts := range []map[string]float64{c.Up, c.Down} {
			for name := range parts {
				parts[name] /= n
			}
		}
	}
	if c.ParamsTotal > 0 {
		c.Fraction = c.ParamsSentPerEdgeRound / c.ParamsTotal
		c.BytesFraction = c.BytesPerEdgeRound / (4 * c.ParamsTotal)
	}
	return c
}

// receive adds what the author of d fetched of the aggregate that its round started from: its own components, and the supervision.
func (c *Communication) receive(a api.Round, d api.Delta) {
	c.Down[partRecord] += float64(a.RecordBytes)
	c.Down[partSupervision] += float64(a.SupervisionBytes)
	for _, part := range a.Components {
		if slices.ContainsFunc(d.Components, func(own api.Component) bool { return own.Name == part.Name && own.Signature == part.Signature }) {
			c.Down[part.Name] += float64(part.Bytes)
		}
	}
}

// String says what the exchange cost, with units.
func (c Communication) String() string {
	return fmt.Sprintf("An edge sends %s of %s parameters a round (%.1f %%) in %s, %.3f %% of the bytes of its model.",
		humanize.SIWithDigits(c.ParamsSentPerEdgeRound, 1, ""), humanize.SIWithDigits(c.ParamsTotal, 1, ""), 100*c.Fraction,
		humanize.IBytes(uint64(c.BytesPerEdgeRound)), 100*c.BytesFraction)
}

// table has a row for everything that is exchanged, and the sums.
func (c Communication) table() table.Writer {
	t := table.NewWriter()
	t.SetStyle(plainStyle())
	t.AppendHeader(table.Row{"an edge's round", "bytes up", "bytes down"})
	names := maps.Clone(c.Down)
	maps.Copy(names, c.Up)
	var up, down float64
	for _, name := range slices.SortedFunc(maps.Keys(names), compareParts) {
		t.AppendRow(table.Row{name, fmt.Sprintf("%.0f", c.Up[name]), fmt.Sprintf("%.0f", c.Down[name])})
		up, down = up+c.Up[name], down+c.Down[name]
	}
	t.AppendFooter(table.Row{"all", fmt.Sprintf("%.0f", up), fmt.Sprintf("%.0f", down)})
	right := func(column int) table.ColumnConfig {
		return table.ColumnConfig{Number: column, Align: text.AlignRight, AlignHeader: text.AlignRight, AlignFooter: text.AlignRight}
	}
	t.SetColumnConfigs([]table.ColumnConfig{right(2), right(3)})
	return t
}

// compareParts orders components by name, before what comes with them.
func compareParts(a, b string) int {
	last := func(name string) int { return slices.Index([]string{partSupervision, partRecord}, name) }
	if d := last(a) - last(b); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}
