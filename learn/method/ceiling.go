package method

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// pooled is "centralised", no federation but what one could reach at most: all private rows are in one place, beside the public rows.
// Every structure of an edge (its family and modalities) is trained on them for as many steps as an edge takes, also at the end, and the
// large model for as many as mlecs spends on all models of the server. Rows with none of a structure's modalities are left out.
type pooled struct {
	cfg         Config
	models      []*worker
	of          []int // index into models of each node's
	nodes       []Node
	server      *worker
	serverSteps int
}

func ceilingMethods() []starter {
	return []starter{{"centralised", func(w World) (Federation, error) { return newPooled(w) }}}
}

func newPooled(w World) (*pooled, error) {
	all := append([]Example{}, w.Public...)
	for _, n := range w.Nodes {
		all = append(all, n.see(n.Private)...)
	}
	c := &pooled{cfg: w.Config, nodes: w.Nodes, serverSteps: (1 + w.families()) * w.Config.CloudSteps}
	known := map[string]int{}
	for _, n := range w.Nodes {
		cfg := w.Config.Of(n.Family)
		var names []string
		for _, m := range n.Modalities {
			names = append(names, m.Name)
		}
		slices.Sort(names)
		structure := fmt.Sprintf("centralised/%d/%s", n.Family, strings.Join(names, "+"))
		at, ok := known[structure]
		if !ok {
			var rows []Example
			for _, r := range n.see(all) {
				if len(r.Inputs) > 0 {
					rows = append(rows, r)
				}
			}
			m, err := newWorker(cfg, w.Small[n.Family], n.Modalities, rows, nil, structure)
			if err != nil {
				return nil, err
			}
			at = len(c.models)
			known[structure], c.models = at, append(c.models, m)
		}
		c.of = append(c.of, at)
	}
	var err error
	c.server, err = newWorker(w.Config.Of(0), w.Large, w.Modalities, all, nil, w.Stream)
	return c, err
}

// Round trains every model.
func (c *pooled) Round(ctx context.Context, round uint64, p Progress) (Traffic, error) {
	if round > 0 {
		for _, m := range c.models {
			if err := m.work(ctx, round, m.cfg.objective(), p); err != nil {
				return Traffic{}, err
			}
		}
	}
	return Traffic{}, c.server.study(ctx, labelledStage, round, c.serverSteps, c.server.rows, c.server.cfg.objective(), p)
}

// Finish trains the small models on.
func (c *pooled) Finish(ctx context.Context, last uint64, p Progress) error {
	for _, m := range c.models {
		if err := m.adapt(ctx, last, p); err != nil {
			return err
		}
	}
	return nil
}

// Edge is the model of node i's structure.
func (c *pooled) Edge(i int) Evaluator { return c.models[c.of[i]] }

// Server is the large model.
func (c *pooled) Server() Evaluator { return c.server }
