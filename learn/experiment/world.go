package experiment

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// world is what one seed gives to every method: the nodes with their rows, the base models, and the rows that score them.
type world struct {
	method.World
	nodes      []NodeScore // without scores
	test       [][]method.Example
	serverTest []method.Example
}

// newWorld deals the set out. With validate the rows that score are validation rows, and nothing sees a test row.
func newWorld(ctx context.Context, set *data.Set, s Setting, cfg method.Config, seed uint64, validate bool) (*world, error) {
	set, err := set.WithTarget(s.Target)
	if err != nil {
		return nil, err
	}
	part, err := set.Split(s.Partition(seed, validate))
	if err != nil {
		return nil, err
	}
	modalities, err := set.Fit(part.Public)
	if err != nil {
		return nil, err
	}
	w := &world{}
	load := func(rows []data.Row, names []string) ([]method.Example, error) {
		var mods []data.Modality
		for _, m := range modalities {
			if slices.Contains(names, m.Name) {
				mods = append(mods, m)
			}
		}
		return set.Examples(ctx, rows, mods, runtime.GOMAXPROCS(0))
	}
	public, err := set.Anonymous(ctx, part.Public, nil) // as the federation sees them
	if err != nil {
		return nil, err
	}
	all := set.Modalities()
	if w.Public, err = load(public, all); err != nil {
		return nil, err
	}
	if w.serverTest, err = load(part.Test, all); err != nil {
		return nil, err
	}
	for _, m := range modalities {
		w.Modalities = append(w.Modalities, model.Modality{Name: m.Name, Kind: m.Kind, Shape: m.Shape})
	}
	for i, share := range part.Edges {
		n := method.Node{Stream: fmt.Sprintf("edge-%d", i+1), Family: i % s.Families}
		for _, m := range w.Modalities {
			if slices.Contains(share.Modalities, m.Name) {
				n.Modalities = append(n.Modalities, m)
			}
		}
		if n.Private, err = load(share.Train, share.Modalities); err != nil {
			return nil, err
		}
		test, err := load(share.Test, share.Modalities)
		if err != nil {
			return nil, err
		}
		w.Nodes = append(w.Nodes, n)
		w.test = append(w.test, test)
		w.nodes = append(w.nodes, NodeScore{
			Node: n.Stream, Domain: share.Domain, Family: n.Family, Modalities: share.Modalities, Rows: len(n.Private), TestRows: len(test),
			Constant: method.Constant(n.Private, test).RougeLsum,
		})
	}
	w.Config, w.Share = s.Configure(cfg, seed), method.DefaultShare()
	texts := make([]string, len(part.Public))
	for i, r := range part.Public {
		texts[i] = r.Target
	}
	bases, err := method.PretrainBases(ctx, w.Config, texts, nil)
	if err != nil {
		return nil, err
	}
	dtype, err := s.dtype()
	if err != nil {
		return nil, err
	}
	w.Large = bases.Large.Stored(dtype)
	for _, b := range bases.Small {
		w.Small = append(w.Small, b.Stored(dtype))
	}
	w.Config = w.Config.WithRoom(bases.Small[0].Tokenizer, texts)
	return w, nil
}

// run lets one method learn in w, and scores it.
func (w *world) run(ctx context.Context, name string, cfg method.Config, s Setting, curve bool, progress func(round, rounds int)) (*Run, error) {
	given := w.World
	given.Config = cfg
	given.Config.MaxTokens = max(cfg.MaxTokens, w.Config.MaxTokens)
	f, err := method.Start(name, given)
	if err != nil {
		return nil, err
	}
	params, model := 0.0, 0.0 // of all edges
	for i := range w.Nodes {
		total, _ := f.Edge(i).Params()
		model += float64(total)
	}
	r := &Run{Method: name, Seed: w.Config.Seed, PerNode: slices.Clone(w.nodes), Bytes: map[string]float64{}}
	for round := range uint64(s.Rounds + 1) {
		traffic, err := f.Round(ctx, round, nil)
		if err != nil {
			return nil, err
		}
		r.count(traffic, s.Rounds)
		params += float64(traffic.Params) / float64(s.Rounds)
		if progress != nil {
			progress(int(round), s.Rounds)
		}
		if curve && onCurve(int(round), s.Rounds) {
			p, err := w.point(ctx, f, round)
			if err != nil {
				return nil, err
			}
			r.Curve = append(r.Curve, p)
		}
	}
	if err := f.Finish(ctx, uint64(s.Rounds), nil); err != nil {
		return nil, err
	}
	model /= float64(len(w.Nodes))
	r.FractionOfParams, r.FractionOfModelBytes = params/model, r.BytesPerEdgeRound/(4*model)
	return r, w.score(ctx, f, r)
}

// pointsOnCurve is about how many rounds a curve shows.
const pointsOnCurve = 10

func onCurve(round, rounds int) bool {
	every := max((rounds+pointsOnCurve-1)/pointsOnCurve, 1)
	return round%every == 0 || round == rounds
}

// count adds a round's bytes. What the server sends down in round 0, in which it learns alone, counts as well.
func (r *Run) count(t method.Traffic, rounds int) {
	share := 1 / float64(rounds)
	up, down := int64(0), int64(0) // as integers, whose sums are the same in any order
	for name, n := range t.Up {
		r.Bytes["up "+name] += float64(n) * share
		up += n
	}
	r.BytesPerEdgeRound += float64(up) * share
	for name, n := range t.Down {
		r.Bytes["down "+name] += float64(n) * share
		down += n
	}
	r.DownPerEdgeRound += float64(down) * share
}

// point scores every node between rounds.
func (w *world) point(ctx context.Context, f method.Federation, round uint64) (Point, error) {
	p := Point{Round: round}
	for i, test := range w.test {
		s, err := f.Edge(i).Evaluate(ctx, test)
		if err != nil {
			return p, err
		}
		p.Edges += s.RougeLsum / float64(len(w.test))
	}
	s, err := f.Server().Evaluate(ctx, w.serverTest)
	p.Server = s.RougeLsum
	return p, err
}

// score fills in r's scores.
func (w *world) score(ctx context.Context, f method.Federation, r *Run) error {
	for i, test := range w.test {
		s, err := f.Edge(i).Evaluate(ctx, test)
		if err != nil {
			return err
		}
		r.PerNode[i].RougeLsum, r.PerNode[i].ExactMatch = s.RougeLsum, s.ExactMatch
		r.EdgesRougeLsum += s.RougeLsum / float64(len(w.test))
		r.EdgesExactMatch += s.ExactMatch / float64(len(w.test))
	}
	s, err := f.Server().Evaluate(ctx, w.serverTest)
	if err != nil {
		return err
	}
	r.ServerRougeLsum, r.ServerExactMatch = s.RougeLsum, s.ExactMatch
	return nil
}
