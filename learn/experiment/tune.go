package experiment

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mlecs/mlecs/learn/method"
)

// Tuned is what a search found: per method the fields of method.Config that differ from the defaults, as JSON. As a file it is tuned.json.
type Tuned map[string]json.RawMessage

// knob is a field that a search may turn, with the values it takes.
type knob struct {
	field  string // of method.Config, as in JSON; a part of the structure as "spec.dropout"
	values []float64
}

// space is what a method may choose from. Every method has the optimiser's settings; those with a term of their own have its weight.
func space(name string) []knob {
	s := []knob{{"lr", []float64{1e-3, 2e-3, 3e-3, 5e-3}}, {"decay", []float64{0.01, 0.1}}, {"spec.dropout", []float64{0.1, 0.3}}, {"adapt_keep", []float64{0, 0.5, 1}}}
	switch name {
	case "fedprox":
		s = append(s, knob{"mu", []float64{0.001, 0.01, 0.1}})
	case "creamfl", literal:
		s = append(s, knob{"lambda", []float64{0.1, 0.5, 2}}, knob{"kd", []float64{0.5, 1, 2}})
	case "fedmd":
		s = append(s, knob{"kd", []float64{0.5, 1, 2}})
	case ours:
		s = append(s, knob{"lambda", []float64{0, 0.5, 2}}, knob{"kd", []float64{0.5, 1, 2}}, knob{"soft_weight", []float64{1, 2}})
	}
	return s
}

// Config is the configuration of a method under a setting: tuned values, or for a variant of mlecs those of mlecs, over the defaults.
func (t Tuned) Config(name string, s Setting, seed uint64) (method.Config, error) {
	cfg := s.Configure(method.Default(), seed)
	values, ok := t[name]
	if !ok && removal(name) {
		values = t[ours]
	}
	if len(values) == 0 {
		return cfg, nil
	}
	d := json.NewDecoder(bytes.NewReader(values))
	d.DisallowUnknownFields()
	if err := d.Decode(&cfg); err != nil {
		return cfg, fmt.Errorf("tuned hyper-parameters of %s: %w", name, err)
	}
	if cfg.Seed != seed || cfg.PublicLabels != s.PublicLabels {
		return cfg, fmt.Errorf("tuned hyper-parameters of %s: seed and public_labels are the same for every method; leave them out", name)
	}
	return s.exchange(cfg), nil
}

// maxTuned bounds tuned.json.
const maxTuned = 1 << 20

// ReadTuned reads a tuned.json.
func ReadTuned(file string) (Tuned, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read tuned hyper-parameters: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxTuned))
	if err != nil {
		return nil, fmt.Errorf("read tuned hyper-parameters %s: %w", file, err)
	}
	var t Tuned
	if err := json.Unmarshal(raw, &t); err != nil {
		return nil, fmt.Errorf("read tuned hyper-parameters %s: %w", file, err)
	}
	for _, m := range slices.Sorted(maps.Keys(t)) {
		if !slices.Contains(method.Methods(), m) {
			return nil, fmt.Errorf("%s: %q is no method; there are %s", file, m, strings.Join(method.Methods(), ", "))
		}
		cfg, err := t.Config(m, Default(), 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := cfg.Validate(); err != nil {
			return nil, fmt.Errorf("%s: tuned hyper-parameters of %s: %w", file, m, err)
		}
	}
	return t, nil
}

// trials draws n different points of a method's space, the defaults first; the same budget for every method. Where a space has fewer, it
// is searched whole.
func trials(name string, n int) []json.RawMessage {
	s := space(name)
	size := 1
	for _, k := range s {
		size *= len(k.values)
	}
	out := []json.RawMessage{json.RawMessage("{}")}
	for _, i := range rand.New(rand.NewPCG(bootstrapSeed, 1)).Perm(size) {
		if len(out) >= n {
			break
		}
		point, spec := map[string]any{}, map[string]float64{}
		for _, k := range s {
			v := k.values[i%len(k.values)]
			i /= len(k.values)
			if field, ok := strings.CutPrefix(k.field, "spec."); ok {
				spec[field] = v
				point["spec"] = spec
			} else {
				point[k.field] = v
			}
		}
		raw, err := json.Marshal(point)
		if err != nil {
			panic(err) // numbers under names
		}
		out = append(out, raw)
	}
	return out
}

// Search is one method's outcome of a search.
type Search struct {
	Method string          `json:"method"`
	Trials []Trial         `json:"trials"`
	Best   json.RawMessage `json:"best"`
}

// Trial is the validation score of one point, mean over seeds of the mean of edges and server.
type Trial struct {
	Values json.RawMessage `json:"values"`
	Edges  float64         `json:"edges_rouge_lsum"`
	Server float64         `json:"server_rouge_lsum"`
}

// Tune searches every method's hyper-parameters, budget points each, on validation rows, and writes tuned.json and search.json into Out.
func Tune(ctx context.Context, opt Options, budget int) (Tuned, []Search, error) {
	opt.Validate, opt.Curves = true, 0
	if err := opt.validate(); err != nil { // of all methods, before hours go into the first
		return nil, nil, err
	}
	if budget < 1 {
		return nil, nil, fmt.Errorf("a search of %d points finds nothing; it needs at least one a method", budget)
	}
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
