package method

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/model"
)

// Methods whose nodes have LoRA of different ranks: of every three edges of a family one has half of the family's rank, one has all of
// it and one has half more, so that the total is that of methods with one rank. The server's small model has the largest. Alpha goes
// with the rank, so that alpha/r, and with it what a dimension means, is the same everywhere.

// spread gives edge i of a family of n its rank.
func spread(rank, i, n int) int {
	low := max(rank/2, 1)
	if i >= n-n%3 {
		return rank
	}
	return []int{rank, low, 2*rank - low}[i%3]
}

// ofRank is cfg with another rank.
func ofRank(cfg Config, rank int) Config {
	cfg.Spec.Alpha *= float64(rank) / float64(cfg.Spec.Rank)
	cfg.Spec.Rank = rank
	return cfg
}

// withRanks gives the edges of w the ranks of spread, and the proxies the largest one.
func withRanks(w World) (edge, proxy func(i int, cfg Config) Config) {
	size, place := make([]int, w.families()), make([]int, len(w.Nodes))
	for i, n := range w.Nodes {
		place[i] = size[n.Family]
		size[n.Family]++
	}
	edge = func(i int, cfg Config) Config {
		return ofRank(cfg, spread(cfg.Spec.Rank, place[i], size[w.Nodes[i].Family]))
	}
	proxy = func(_ int, cfg Config) Config { return ofRank(cfg, 2*cfg.Spec.Rank-max(cfg.Spec.Rank/2, 1)) }
	return edge, proxy
}

// pruned counts how many of its dimensions each worker has given up.
type pruned map[*worker]int

// rank is how many dimensions of its LoRA w shares.
func (p pruned) rank(w *worker) int { return w.cfg.Spec.Rank - p[w] }

// Self-pruning of HetLoRA: the last dimensions, 1-pruneKeep of them, are held small by a penalty of weight prunePenalty, and given up when a
// round has made them smaller than they were.
const (
	pruneKeep    = 0.99
	prunePenalty = 5e-3
)

// hetlora is HetLoRA (arXiv 2401.06432). An edge receives the first dimensions of the global LoRA, as many as its rank, tunes them with
// self-pruning, and sends them; the server pads with zeros and weighs every node by the norm of its update, ||B A||. Simplified: a model whose
// rank was pruned keeps its tensors, whose last dimensions start every round at zero and are neither sent nor received.
func hetlora(w World) scheme {
	edge, proxy := withRanks(w)
	given := pruned{}
	start := map[*worker]float64{}
	return scheme{
		config: edge, proxyConfig: proxy,
		goal: func(e *worker, o *model.Objective) {
			tail := given.tail(e)
			start[e] = tail.norm(e.shared([]string{"lora"})[0].Tensors)
			o.Penalty = tail.penalty
		},
		combine: func(a *averaging, x exchange) error {
			for _, s := range x.sources {
				if s.node == nil {
					continue
				}
				tail := given.tail(s)
				if now := tail.norm(s.shared([]string{"lora"})[0].Tensors); now < start[s] && tail.from > 0 {
					given[s] += tail.to - tail.from
				}
			}
			return combineRanks(a, x, given, adapter.HetLoRA{Global: true}, nil)
		},
	}
}

// tail are the last dimensions of a LoRA, from and to counted in its rank.
type tail struct{ from, to int }

func (p pruned) tail(w *worker) tail {
	r := p.rank(w)
	return tail{int(math.Floor(pruneKeep * float64(r))), r}
}

// sides calls f for the tail of every lora_A and lora_B: the indices of its values.
func (t tail) sides(tensors []adapter.Tensor, f func(i int, isA bool, at []int)) {
	for i, x := range tensors {
		switch {
		case strings.HasSuffix(x.Name, ".lora_A.weight"):
			in := x.Shape[1]
			var at []int
			for j := t.from * in; j < t.to*in; j++ {
				at = append(at, j)
			}
			f(i, true, at)
		case strings.HasSuffix(x.Name, ".lora_B.weight"):
			var at []int
			for o := range x.Shape[0] {
				for k := t.from; k < t.to; k++ {
					at = append(at, o*x.Shape[1]+k)
				}
			}
			f(i, false, at)
		}
	}
}

// norms are the Frobenius norms of the tails of all A and of all B.
func (t tail) norms(tensors []adapter.Tensor) (a, b float64) {
	t.sides(tensors, func(i int, isA bool, at []int) {
		for _, j := range at {
			square := float64(tensors[i].Data[j]) * float64(tensors[i].Data[j])
			if isA {
				a += square
			} else {
				b += square
			}
		}
	})
	return math.Sqrt(a), math.Sqrt(b)
}

// norm is ||A|| ||B|| of the tails.
func (t tail) norm(tensors []adapter.Tensor) float64 {
	a, b := t.norms(tensors)
	return a * b
}

// penalty is the gradient of prunePenalty times norm.
func (t tail) penalty(weights []adapter.Tensor, gradients [][]float32) {
	a, b := t.norms(weights)
	if a == 0 || b == 0 {
		return
	}
	t.sides(weights, func(i int, isA bool, at []int) {
		slope := prunePenalty * b / a
		if !isA {
			slope = prunePenalty * a / b
		}
		for _, j := range at {
			gradients[i][j] += float32(slope * float64(weights[i].Data[j]))
		}
	})
}

// fedilora is FediLoRA (arXiv 2509.06984): dimension-wise averaging, over only those nodes whose rank reaches a dimension, and
// editing, by which what a missing modality has led astray is mended before it is sent: the lora_A that is least like the global one that
// the edge received is mixed with it, in proportion to the cosine of the two, if that is below editBelow.
func fedilora(w World) scheme {
	edge, proxy := withRanks(w)
	received := map[*worker]adapter.Component{}
	return scheme{
		config: edge, proxyConfig: proxy,
		combine: func(a *averaging, x exchange) error {
			for _, s := range x.sources {
				global, ok := received[s]
				if s.node == nil || !ok {
					continue
				}
				if err := s.model.SetComponent(edit(s.shared([]string{"lora"})[0], global)); err != nil {
					return err
				}
			}
			return combineRanks(a, x, pruned{}, adapter.DimensionWise{}, received)
		},
	}
}

// editBelow is the cosine from which on FediLoRA leaves a layer alone.
const editBelow = 0.95

// edit mends the least similar lora_A of own. Equal structures are the caller's.
func edit(own, global adapter.Component) adapter.Component {
	least, worst := editBelow, -1
	for i, t := range own.Tensors {
		if !strings.HasSuffix(t.Name, ".lora_A.weight") {
			continue
		}
		if c := cosine(t.Data, global.Tensors[i].Data); c < least {
			least, worst = c, i
		}
	}
	if worst >= 0 {
		for j, g := range global.Tensors[worst].Data {
			x := &own.Tensors[worst].Data[j]
			*x = float32(float64(least*float64(*x)) + float64((1-least)*float64(g)))
		}
	}
	return own
}

// cosine of two vectors; 0 if one is zero.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		ab += float64(float64(x) * y)
		aa += float64(float64(x) * float64(x))
		bb += float64(y * y)
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}

// combineRanks combines LoRA of different ranks by a rule, and gives every receiver as many of the first dimensions as it has. kept, if
// not nil, keeps what each receiver was given.
func combineRanks(a *averaging, x exchange, given pruned, rule adapter.Rule, kept map[*worker]adapter.Component) error {
	var cs []adapter.Contribution
	for i, s := range x.sources {
		// Signatures name ranks only: what else they say is equal within a family.
		rank := given.rank(s)
		c, err := adapter.Truncate(s.shared([]string{"lora"})[0], rank, fmt.Sprint("rank ", rank))
		if err != nil {
			return err
		}
		if err := a.sends(s, []adapter.Component{c}, x.wire); err != nil {
			return err
		}
		cs = append(cs, adapter.Contribution{Component: c, Weight: x.weights[i], Alpha: s.cfg.Spec.Alpha})
	}
	global, err := rule.Combine(cs)
	if err != nil {
		return err
	}
	for _, r := range x.receivers {
		own := firstDimensions(global, r.shared([]string{"lora"})[0], given.rank(r))
		if err := r.model.SetComponent(own); err != nil {
			return err
		}
		if kept != nil {
			kept[r] = own.Clone()
		}
		cut, err := adapter.Truncate(own, given.rank(r), "cut")
		if err != nil {
			return err
		}
		if err := a.receives([]*worker{r}, []adapter.Component{cut}, x.wire); err != nil {
			return err
		}
	}
	return nil
}

// firstDimensions is a LoRA of own's structure with the first rank dimensions of global, and zeros beyond them.
func firstDimensions(global, own adapter.Component, rank int) adapter.Component {
	for _, t := range own.Tensors {
		i := slices.IndexFunc(global.Tensors, func(g adapter.Tensor) bool { return g.Name == t.Name })
		g := global.Tensors[i]
		clear(t.Data)
		if strings.HasSuffix(t.Name, ".lora_A.weight") {
			in := t.Shape[1]
			copy(t.Data[:min(rank, g.Shape[0])*in], g.Data)
			continue
		}
		n := min(rank, g.Shape[1])
		for o := range t.Shape[0] {
			copy(t.Data[o*t.Shape[1]:][:n], g.Data[o*g.Shape[1]:])
		}
	}
	return own
}
