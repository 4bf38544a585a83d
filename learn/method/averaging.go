package method

import (
	"context"
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// averaging is a method whose edges average components within their family. The server takes part with a small model of each family
// that has all modalities, the proxy of ML-ECS, which it trains CloudSteps a round on the public rows, so that what the public rows teach
// reaches the edges. The large model, which is scored, takes CloudSteps a round on the same rows.
type averaging struct {
	*crowd
	scheme
	proxies []*worker // one a family
}

// scheme is what averaging methods differ in.
type scheme struct {
	name string
	// combine makes one of what the sources have and hands it to the receivers; weights go with sources.
	combine func(a *averaging, sources []*worker, weights []float64, receivers []*worker, round uint64, t *tally) error
	// structure: see newCrowd. The proxies have all modalities and the config of their family.
	structure func(w World) func(i int, cfg Config, m []model.Modality) (Config, []model.Modality)
	// goal adds to the objective of an edge at the start of its round; nil: nothing.
	goal func(e *worker, o *model.Objective)
	// transfer: the large model takes over averaged components of equal signature, if Config.Transfer says so.
	transfer bool
}

// averagingMethods average LoRA (FedIT, arXiv 2305.05644), or all components of models that have all modalities, missing ones filled with
// zeros.
func averagingMethods() []starter {
	schemes := []scheme{
		{name: "fedavg-lora", combine: averageOf("lora")},
		{name: "fedavg-zero", combine: averageOf(DefaultShare()...), transfer: true, structure: everyModality},
	}
	var out []starter
	for _, s := range schemes {
		out = append(out, starter{s.name, func(w World) (Federation, error) { return newAveraging(w, s) }})
	}
	return out
}

// everyModality gives all nodes one structure.
func everyModality(w World) func(int, Config, []model.Modality) (Config, []model.Modality) {
	return func(_ int, cfg Config, _ []model.Modality) (Config, []model.Modality) { return cfg, w.Modalities }
}

func newAveraging(w World, s scheme) (*averaging, error) {
	var structure func(int, Config, []model.Modality) (Config, []model.Modality)
	if s.structure != nil {
		structure = s.structure(w)
	}
	c, err := newCrowd(w, true, structure)
	if err != nil {
		return nil, err
	}
	a := &averaging{crowd: c, scheme: s}
	for family, small := range w.Small {
		p, err := newWorker(w.Config.Of(family), small, w.Modalities, w.Public, nil, proxyStream(w.Stream, family))
		if err != nil {
			return nil, err
		}
		a.proxies = append(a.proxies, p)
	}
	return a, nil
}

// Round trains the edges, averages what they and the proxies learned, and trains the server's models. In round 0 the proxies are trained
// first and stand for the federation, as in Cloud.Round.
func (a *averaging) Round(ctx context.Context, round uint64, p Progress) (Traffic, error) {
	t := newTally(len(a.edges))
	if round > 0 {
		for _, e := range a.edges {
			goal := e.cfg.objective()
			if a.goal != nil {
				a.goal(e, &goal)
			}
			if err := e.work(ctx, round, goal, p); err != nil {
				return Traffic{}, err
			}
		}
		if err := a.exchange(round, t); err != nil {
			return Traffic{}, err
		}
	}
	for _, proxy := range a.proxies {
		if err := proxy.study(ctx, labelledStage, round, proxy.cfg.CloudSteps, proxy.rows, proxy.cfg.objective(), p); err != nil {
			return Traffic{}, err
		}
	}
	if round == 0 {
		if err := a.exchange(round, t); err != nil {
			return Traffic{}, err
		}
	}
	return t.mean(), a.server.study(ctx, labelledStage, round, a.cfg.CloudSteps, a.server.rows, a.server.cfg.objective(), p)
}

// exchange combines within every family. Before the edges have learned anything (round 0) the proxy is the only source.
func (a *averaging) exchange(round uint64, t *tally) error {
	for family, proxy := range a.proxies {
		var sources, receivers []*worker
		var weights []float64
		for _, e := range a.edges {
			if e.node.Family != family {
				continue
			}
			receivers = append(receivers, e)
			if round > 0 {
				sources, weights = append(sources, e), append(weights, float64(len(e.rows)))
			}
		}
		own := a.cfg.ProxyWeight * float64(len(proxy.rows))
		if len(sources) == 0 {
			own = 1
		}
		if own > 0 {
			sources, weights = append(sources, proxy), append(weights, own)
		}
		if err := a.combine(a, sources, weights, append(receivers, proxy), round, t); err != nil {
			return fmt.Errorf("round %d, family %d: %w", round, family, err)
		}
	}
	return nil
}

// averageOf averages components of some kinds, by weights, over the sources, whose structure is one.
func averageOf(kinds ...string) func(*averaging, []*worker, []float64, []*worker, uint64, *tally) error {
	return func(a *averaging, sources []*worker, weights []float64, receivers []*worker, _ uint64, t *tally) error {
		var mean []adapter.Component
		versions := make([][]adapter.Component, len(sources))
		for i, s := range sources {
			versions[i] = s.shared(kinds)
			if err := a.sends(s, versions[i], t); err != nil {
				return err
			}
		}
		for at := range versions[0] {
			var all []adapter.Component
			for _, v := range versions {
				all = append(all, v[at])
			}
			c, err := adapter.WeightedMean(all, weights)
			if err != nil {
				return err
			}
			mean = append(mean, c)
		}
		for _, r := range receivers {
			if _, err := r.adopt(mean); err != nil {
				return err
			}
			if err := a.receives(r, mean, t); err != nil {
				return err
			}
		}
		if a.transfer && a.cfg.Transfer {
			if _, err := a.server.adopt(mean); err != nil {
				return err
			}
		}
		return nil
	}
}

// sends counts what w sends, if it is an edge.
func (a *averaging) sends(w *worker, components []adapter.Component, t *tally) error {
	if w.node == nil {
		return nil
	}
	return t.sent(components)
}

// receives counts what w receives, if it is an edge.
func (a *averaging) receives(w *worker, components []adapter.Component, t *tally) error {
	if w.node == nil {
		return nil
	}
	return t.received(components)
}

// proxyStream names the server's small model of a family.
func proxyStream(stream string, family int) string {
	if family == 0 {
		return stream + "/proxy"
	}
	return fmt.Sprintf("%s/proxy/%d", stream, family)
}
