package method

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/model"
)

// worker is one model of a method other than ML-ECS: an edge's, or one of the server's. It learns from rows with targets.
type worker struct {
	learner
	zeros  bool  // the model has more modalities than its node: they are zeros, not missing
	node   *Node // that it is the model of; nil for the server's
	rows   []row // an edge's private rows, the server's public rows
	public []row // the public rows as an edge sees them, with or without targets
}

// newWorker takes rows with targets.
func newWorker(cfg Config, base *model.Base, modalities []model.Modality, rows, public []Example, stream string) (*worker, error) {
	l, err := newLearner(cfg, base, modalities, stream)
	if err != nil {
		return nil, err
	}
	w := &worker{learner: *l}
	if w.rows, err = prepare(cfg, base, l.modalities, rows); err != nil {
		return nil, fmt.Errorf("rows of %s: %w", stream, err)
	}
	if len(w.rows) == 0 {
		return nil, fmt.Errorf("%s has no rows to learn from", stream)
	}
	if err := needTargets(w.rows); err != nil {
		return nil, fmt.Errorf("rows of %s: %w", stream, err)
	}
	if w.public, err = prepare(cfg, base, l.modalities, public); err != nil {
		return nil, fmt.Errorf("public rows of %s: %w", stream, err)
	}
	if err := needUniqueIDs(w.public); err != nil {
		return nil, fmt.Errorf("public rows of %s: %w", stream, err)
	}
	return w, nil
}

// study trains towards the targets of rows.
func (w *worker) study(ctx context.Context, name string, round uint64, steps int, rows []row, goal model.Objective, p Progress) error {
	goal.LM = 1
	_, err := w.train(ctx, stage{
		name: name, round: round, steps: steps, rows: rows,
		batch: func(rows []row) model.Batch { return labelled(w.modalities, rows) },
		goal:  goal, shown: show(p, "baseline", 0, steps),
	})
	if err != nil {
		return fmt.Errorf("%s: %w", w.stream, err)
	}
	return nil
}

// work is an edge's round without a teacher: CCLSteps on public rows and AMTSteps on private ones where it has the targets of both, else
// all of them on private rows.
func (w *worker) work(ctx context.Context, round uint64, goal model.Objective, p Progress) error {
	public, private := w.cfg.CCLSteps, w.cfg.AMTSteps
	if len(w.public) == 0 || needTargets(w.public) != nil {
		public, private = 0, public+private
	}
	if err := w.study(ctx, publicStage, round, public, w.public, goal, p); err != nil {
		return err
	}
	return w.study(ctx, labelledStage, round, private, w.rows, goal, p)
}

// adapt is an edge's Finish, as in Edge.Adapt.
func (w *worker) adapt(ctx context.Context, last uint64, p Progress) error {
	return w.adaptBy(func() error {
		return w.study(ctx, adaptStage, last, w.cfg.AdaptSteps, w.rows, w.cfg.objective(), p)
	})
}

// Evaluate scores greedy answers on test rows, from which a model of more modalities than its node has sees no more than the node.
func (w *worker) Evaluate(ctx context.Context, test []Example) (Scores, error) {
	if w.node != nil {
		test = w.node.see(test)
	}
	if w.zeros {
		test = filled(test, w.modalities)
	}
	return w.evaluate(ctx, test)
}

// filled are rows with zeros for the modalities that they lack.
func filled(rows []Example, modalities []model.Modality) []Example {
	out := make([]Example, len(rows))
	for i, r := range rows {
		inputs := maps.Clone(r.Inputs)
		for _, m := range modalities {
			if inputs[m.Name] == nil {
				inputs[m.Name] = make([]float32, m.Size())
			}
		}
		r.Inputs = inputs
		out[i] = r
	}
	return out
}

// Params counts all parameters of the model, the frozen base included, and the trainable ones.
func (w *worker) Params() (total, trainable int64) { return w.model.Params() }

// crowd are the models of a method other than ML-ECS.
type crowd struct {
	cfg    Config
	edges  []*worker // one a node
	server *worker   // the large model
}

// newCrowd builds an edge for every node of w, and the large model. labels tells whether edges may learn from the public rows' targets, if
// the federation hands them out; structure, if not nil, changes the config and the modalities that node i builds its model with.
func newCrowd(w World, labels bool, structure func(i int, cfg Config, m []model.Modality) (Config, []model.Modality)) (*crowd, error) {
	c := &crowd{cfg: w.Config}
	for i, n := range w.Nodes {
		var public []Example
		if labels {
			public = w.publicFor(n)
		}
		cfg, modalities := w.Config.Of(n.Family), n.Modalities
		if structure != nil {
			cfg, modalities = structure(i, cfg, modalities)
		}
		private, taught, zeros := n.see(n.Private), public, len(modalities) > len(n.Modalities)
		if zeros {
			private, taught = filled(private, modalities), filled(taught, modalities)
		}
		e, err := newWorker(cfg, w.Small[n.Family], modalities, private, taught, n.Stream)
		if err != nil {
			return nil, err
		}
		e.node, e.zeros = &w.Nodes[i], zeros
		c.edges = append(c.edges, e)
	}
	var err error
	c.server, err = newWorker(w.Config.Of(0), w.Large, w.Modalities, w.Public, nil, w.Stream)
	return c, err
}

// see are rows restricted to the node's modalities, so that a model of more modalities than the node has learns nothing from the rest. Text
// is a prompt only to nodes that have it as a modality.
func (n Node) see(rows []Example) []Example {
	out := make([]Example, len(rows))
	reads := slices.ContainsFunc(n.Modalities, func(m model.Modality) bool { return m.Kind == data.Text })
	for i, r := range rows {
		if !reads {
			r.Text = ""
		}
		inputs := make(map[string][]float32, len(n.Modalities))
		for _, m := range n.Modalities {
			if x, ok := r.Inputs[m.Name]; ok {
				inputs[m.Name] = x
			}
		}
		r.Inputs = inputs
		out[i] = r
	}
	return out
}

// Finish adapts every edge to its private rows.
func (c *crowd) Finish(ctx context.Context, last uint64, p Progress) error {
	for _, e := range c.edges {
		if err := e.adapt(ctx, last, p); err != nil {
			return err
		}
	}
	return nil
}

// Edge is the model of node i.
func (c *crowd) Edge(i int) Evaluator { return c.edges[i] }

// Server is the large model.
func (c *crowd) Server() Evaluator { return c.server }
