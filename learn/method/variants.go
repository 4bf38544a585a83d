package method

import (
	"context"
	"slices"
)

// variant is a way to run ML-ECS: what it changes of a world, and of the federation that starts from it. Whatever is left out, edges and
// server take as many steps.
type variant struct {
	name  string
	world func(w *World)
	edge  func(e *Edge)
	cloud func(c *Cloud)
	adapt func(e *Edge) training // of the steps after the last round; nil: AMT
}

// variants are the paper's literal method, ours, and ours without one part each.
var variants = []variant{
	{
		// CCL contrasts by Gram volumes (and learns targets, where edges see them); the delta is the LoRA as CCL leaves it, which AMT then
		// tunes for the edge alone; MMA weighs by |M_d| alone, without the server; the small model guides the large one by the same
		// loss, with weight KD. The edges' encoders and connectors stay where they are.
		name: "mlecs-paper",
		world: func(w *World) {
			c := &w.Config
			c.Contrast, c.SoftWeight = "gram", 0
			c.Rule, c.ProxyWeight = RuleModalities, 0
			c.Guide, c.KD, c.Transfer = c.KD, 0, false
			w.Share = []string{"lora"}
		},
		edge:  func(e *Edge) { e.early = true },
		cloud: func(c *Cloud) { c.large.beside = nil }, // the large model answers
	},
	{name: "mlecs"},
	// Nothing on public rows: edges learn from private rows, and from means.
	{name: "mlecs-no-ccl", world: func(w *World) { withoutCCL(&w.Config) }},
	{name: "mlecs-no-contrast", world: func(w *World) { w.Config.Lambda = 0 }},
	{name: "mlecs-no-soft", world: func(w *World) { w.Config.SoftWeight = 0 }},
	// Nothing on private rows, not even at the end.
	{
		name: "mlecs-no-amt",
		world: func(w *World) {
			w.Config.CCLSteps, w.Config.AMTSteps = w.Config.CCLSteps+w.Config.AMTSteps, 0
		},
		adapt: func(e *Edge) training { return e.align },
	},
	// No means: representations and answers alone reach the edges, and nothing reaches the server.
	{name: "mlecs-no-mma", world: func(w *World) { w.Share = nil }},
	{name: "mlecs-uniform", world: func(w *World) { w.Config.Rule = RuleUniform }},
	// Small and large models at the server learn nothing from each other; the large one still teaches the edges.
	{name: "mlecs-no-seccl", world: func(w *World) { w.Config.KD, w.Config.Guide, w.Config.Transfer = 0, 0, false }},
	{name: "mlecs-no-encoder", world: func(w *World) { w.stopSharing("encoder") }},
	{name: "mlecs-no-connector", world: func(w *World) { w.stopSharing("connector") }},
}

// stopSharing takes a kind of components out of the share policy.
func (w *World) stopSharing(kind string) {
	w.Share = slices.DeleteFunc(slices.Clone(w.Share), func(k string) bool { return k == kind })
}

// withoutCCL gives CCL's steps to AMT.
func withoutCCL(c *Config) { c.CCLSteps, c.AMTSteps = 0, c.CCLSteps+c.AMTSteps }

func togetherMethods() []starter {
	var out []starter
	for _, v := range variants {
		out = append(out, starter{v.name, func(w World) (Federation, error) { return v.start(w) }})
	}
	return out
}

func (v variant) start(w World) (*together, error) {
	steps := w.Config.AdaptSteps
	if v.world != nil {
		v.world(&w)
	}
	if c := &w.Config; c.Lambda == 0 && c.SoftWeight == 0 && c.PublicLabels != LabelsEdges {
		withoutCCL(c) // nothing is left of it
	}
	t, err := newTogether(w)
	if err != nil {
		return nil, err
	}
	if v.cloud != nil {
		v.cloud(t.cloud)
	}
	for _, e := range t.edges {
		if v.edge != nil {
			v.edge(e)
		}
	}
	t.finish = func(ctx context.Context, e *Edge, last uint64, p Progress) error {
		train := e.tune
		if v.adapt != nil {
			train = v.adapt(e)
		}
		return e.adapt(ctx, last, steps, train, p)
	}
	return t, nil
}
