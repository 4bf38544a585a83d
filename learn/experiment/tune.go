package experiment

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/mlecs/mlecs/learn/method"
)

// Tuned is what a search found: per method the hyper-parameters that differ from the defaults. As a file it is tuned.json.
type Tuned map[string]map[string]float64

// knobs are what a search may turn, by name.
var knobs = map[string]func(*method.Config, float64){
	"lr":           func(c *method.Config, v float64) { c.LR = v },
	"lambda":       func(c *method.Config, v float64) { c.Lambda = v },
	"kd":           func(c *method.Config, v float64) { c.KD = v },
	"soft_weight":  func(c *method.Config, v float64) { c.SoftWeight = v },
	"mu":           func(c *method.Config, v float64) { c.Mu = v },
	"decay":        func(c *method.Config, v float64) { c.Decay = v },
	"dropout":      func(c *method.Config, v float64) { c.Spec.Dropout = v },
	"proxy_weight": func(c *method.Config, v float64) { c.ProxyWeight = v },
}

// space is what a method may choose from. Every method has the optimiser's settings; those with a term of their own have its weight.
func space(name string) map[string][]float64 {
	s := map[string][]float64{"lr": {1e-3, 2e-3, 3e-3, 5e-3}, "decay": {0.01, 0.1}, "dropout": {0.1, 0.3}}
	switch name {
	case "fedprox":
		s["mu"] = []float64{0.001, 0.01, 0.1}
	case "creamfl", "mlecs-paper":
		s["lambda"] = []float64{0.1, 0.5, 2}
		s["kd"] = []float64{0.5, 1, 2}
	case "fedmd":
		s["kd"] = []float64{0.5, 1, 2}
	case ours:
		s["lambda"] = []float64{0, 0.5, 2}
		s["kd"] = []float64{0.5, 1, 2}
		s["soft_weight"] = []float64{1, 2}
	}
	return s
}

// config is the configuration of a method: its own tuned values, or for a variant of mlecs those of mlecs, over the defaults.
func (t Tuned) config(name string) method.Config {
	cfg := method.Default()
	values, ok := t[name]
	if !ok && name != ours+"-paper" && len(name) > len(ours) && name[:len(ours)+1] == ours+"-" {
		values = t[ours]
	}
	for knob, v := range values {
		knobs[knob](&cfg, v)
	}
	return cfg
}

// ReadTuned reads a tuned.json.
func ReadTuned(file string) (Tuned, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read tuned hyper-parameters: %w", err)
	}
	var t Tuned
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("read tuned hyper-parameters %s: %w", file, err)
	}
	for m, values := range t {
		if !slices.Contains(method.Methods(), m) {
			return nil, fmt.Errorf("%s: %q is no method", file, m)
		}
		for knob := range values {
			if knobs[knob] == nil {
				return nil, fmt.Errorf("%s: method %s: %q is no hyper-parameter that a search sets", file, m, knob)
			}
		}
	}
	return t, nil
}

// trials draws n different points of a method's space, the defaults first; the same budget for every method. Where a space has fewer, it
// is searched whole.
func trials(name string, n int) []map[string]float64 {
	s := space(name)
	var names []string
	size := 1
	for k, values := range s {
		names = append(names, k)
		size *= len(values)
	}
	slices.Sort(names)
	out := []map[string]float64{{}}
	for _, i := range rand.New(rand.NewPCG(bootstrapSeed, 1)).Perm(size) {
		if len(out) == n {
			break
		}
		point := map[string]float64{}
		for _, k := range names {
			point[k] = s[k][i%len(s[k])]
			i /= len(s[k])
		}
		out = append(out, point)
	}
	return out
}

// Search is one method's outcome of a search.
type Search struct {
	Method string             `json:"method"`
	Trials []Trial            `json:"trials"`
	Best   map[string]float64 `json:"best"`
}

// Trial is the validation score of one point, mean over seeds of the mean of edges and server.
type Trial struct {
	Values map[string]float64 `json:"values"`
	Edges  float64            `json:"edges_rouge_lsum"`
	Server float64            `json:"server_rouge_lsum"`
}

// Tune searches every method's hyper-parameters, budget points each, on validation rows, and writes tuned.json and search.json into Out.
func Tune(ctx context.Context, opt Options, budget int) (Tuned, []Search, error) {
	opt.Validate, opt.Curves = true, 0
	tuned := Tuned{}
	var searches []Search
	for _, m := range opt.Methods {
		s := Search{Method: m}
		best := -1.0
		for i, point := range trials(m, budget) {
			o := opt
			o.Methods, o.Tuned, o.Out = []string{m}, Tuned{m: point}, filepath.Join(opt.Out, "search", fmt.Sprintf("%s-%d", m, i))
			r, err := Execute(ctx, o)
			if err != nil {
				return nil, nil, err
			}
			t := Trial{Values: point, Edges: r.Summary[0].Edges.Mean, Server: r.Summary[0].Server.Mean}
			s.Trials = append(s.Trials, t)
			if score := t.Edges + t.Server; score > best {
				best, s.Best, tuned[m] = score, point, point
			}
		}
		searches = append(searches, s)
	}
	for name, v := range map[string]any{"tuned.json": tuned, "search.json": searches} {
		raw, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return nil, nil, fmt.Errorf("encode the search: %w", err)
		}
		if err := writeFile(filepath.Join(opt.Out, name), append(raw, '\n')); err != nil {
			return nil, nil, err
		}
	}
	return tuned, searches, nil
}
