package method

import (
	"context"
	"fmt"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// averaging is a method whose edges average components within their family. The server takes part with a small model of each family
// that has all modalities, the proxy of ML-ECS, which it trains CloudSteps a round on the public rows, so that what the public rows teach
// reaches the edges. The large model takes CloudSteps a round on the same rows; it and the proxies answer together, as in ML-ECS.
type averaging struct {
	*crowd
	scheme
	proxies []*worker // one a family
}

// scheme is what averaging methods differ in. Fields that are nil change nothing.
type scheme struct {
	combine     func(a *averaging, x exchange) error
	config      func(i int, cfg Config) Config         // of edge i
	proxyConfig func(family int, cfg Config) Config    // of a family's proxy
	everything  bool                                   // edges have all modalities
	goal        func(e *worker, goal *model.Objective) // adds to an edge's objective at the start of its round
	transfer    bool                                   // the large model takes over means of equal signature, if Config.Transfer says so
}

// exchange is one family's part of a round: combine makes one of what the sources have and hands it to the receivers.
type exchange struct {
	round     uint64
	sources   []*worker
	weights   []float64 // of sources
	receivers []*worker
	wire      *tally
}

// averagingMethods exchange LoRA, the last one all components.
func averagingMethods() []starter {
	var out []starter
	for _, m := range []struct {
		name   string
		scheme func(World) scheme
	}{
		{"fedavg-lora", fedit}, {"fedprox", fedprox}, {"hetlora", hetlora}, {"flora", flora}, {"fedilora", fedilora}, {"fedavg-zero", zeroFilled},
	} {
		out = append(out, starter{m.name, func(w World) (Federation, error) { return newAveraging(w, m.scheme(w)) }})
	}
	return out
}

// fedit is FedIT (arXiv 2305.05644): A and B of LoRA are averaged, by rows, and everything else stays on its node.
func fedit(World) scheme { return scheme{combine: averageOf("lora")} }

// zeroFilled gives all nodes the structure of a node that has all modalities, and averages every component, by rows. Modalities that a
// node does not have are zeros. Beyond what such an average can do within a family, the large model takes over encoders of equal
// structure, as in mlecs.
func zeroFilled(World) scheme {
	return scheme{combine: averageOf(DefaultShare()...), everything: true, transfer: true}
}

func newAveraging(w World, s scheme) (*averaging, error) {
	c, err := newCrowd(w, true, func(i int, cfg Config, m []model.Modality) (Config, []model.Modality) {
		if s.config != nil {
			cfg = s.config(i, cfg)
		}
		if s.everything {
			m = w.Modalities
		}
		return cfg, m
	})
	if err != nil {
		return nil, err
	}
	a := &averaging{crowd: c, scheme: s}
	for family, small := range w.Small {
		cfg := w.Config.Of(family)
		if s.proxyConfig != nil {
			cfg = s.proxyConfig(family, cfg)
		}
		p, err := newWorker(cfg, small, w.Modalities, w.Public, nil, proxyStream(w.Stream, family))
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
	t := newTally(a.cfg, len(a.edges))
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
		if err := a.share(round, t); err != nil {
			return Traffic{}, err
		}
	}
	for _, proxy := range a.proxies {
		if err := proxy.study(ctx, labelledStage, round, proxy.cfg.CloudSteps, proxy.rows, proxy.cfg.objective(), p); err != nil {
			return Traffic{}, err
		}
	}
	if round == 0 {
		if err := a.share(round, t); err != nil {
			return Traffic{}, err
		}
	}
	return t.mean(), a.server.study(ctx, labelledStage, round, a.cfg.CloudSteps, a.server.rows, a.server.cfg.objective(), p)
}

// share exchanges within every family. Before the edges have learned anything (round 0) the proxy is the only source.
func (a *averaging) share(round uint64, wire *tally) error {
	for family, proxy := range a.proxies {
		x := exchange{round: round, wire: wire}
		for _, e := range a.edges {
			if e.node.Family != family {
				continue
			}
			x.receivers = append(x.receivers, e)
			if round > 0 {
				x.sources, x.weights = append(x.sources, e), append(x.weights, float64(len(e.rows)))
			}
		}
		own := a.cfg.ProxyWeight * float64(len(proxy.rows))
		if len(x.sources) == 0 {
			own = 1
		}
		if own > 0 {
			x.sources, x.weights = append(x.sources, proxy), append(x.weights, own)
		}
		x.receivers = append(x.receivers, proxy)
		if err := a.combine(a, x); err != nil {
			return fmt.Errorf("round %d, family %d: %w", round, family, err)
		}
	}
	return nil
}

// Server answers as a super-peer does: by the large model and the small ones together.
func (a *averaging) Server() Evaluator {
	s := *a.server
	for _, p := range a.proxies {
		s.beside = append(s.beside, p.model)
	}
	return &s
}

// averageOf averages components of some kinds, by weights, over the sources, whose structure is one.
func averageOf(kinds ...string) func(*averaging, exchange) error {
	return func(a *averaging, x exchange) error {
		var versions [][]adapter.Component
		for _, s := range x.sources {
			version := s.shared(kinds)
			if err := a.sends(s, version, x.wire); err != nil {
				return err
			}
			versions = append(versions, version)
		}
		var mean []adapter.Component
		for at := range versions[0] {
			var all []adapter.Component
			for _, version := range versions {
				all = append(all, version[at])
			}
			c, err := adapter.WeightedMean(all, x.weights)
			if err != nil {
				return err
			}
			mean = append(mean, c)
		}
		for _, r := range x.receivers {
			if _, err := r.adopt(mean); err != nil {
				return err
			}
		}
		if err := a.receives(x.receivers, mean, x.wire); err != nil {
			return err
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

// receives counts what those workers receive that are edges: the same for all.
func (a *averaging) receives(workers []*worker, components []adapter.Component, t *tally) error {
	edges := 0
	for _, w := range workers {
		if w.node != nil {
			edges++
		}
	}
	return t.received(components, edges)
}

// proxyStream names the server's small model of a family.
func proxyStream(stream string, family int) string {
	if family == 0 {
		return stream + "/proxy"
	}
	return fmt.Sprintf("%s/proxy/%d", stream, family)
}
