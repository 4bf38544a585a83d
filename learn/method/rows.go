package method

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/model"
)

// Example is one row ready for the model. Its text is cut where it would not fit the model's positions.
type Example = data.Example

// row is an Example with its tokens.
type row struct {
	id     string
	inputs map[string][]float32
	text   []int
	target []int // end-of-text included; nil if the row has no target
	label  int   // equal for equal targets; -1 without
}

// prepare tokenises rows and checks them against the model they are for.
func prepare(cfg Config, base *model.Base, modalities []model.Modality, examples []Example) ([]row, error) {
	room := base.Config.Positions - cfg.Spec.Prompt - cfg.MaxTokens
	if room < 0 {
		return nil, fmt.Errorf("the base model has %d positions; soft prompt and answer need %d", base.Config.Positions, cfg.Spec.Prompt+cfg.MaxTokens)
	}
	labels := map[string]int{}
	rows := make([]row, len(examples))
	for i, ex := range examples {
		r := row{id: ex.ID, inputs: ex.Inputs, label: -1}
		for _, m := range modalities {
			size := 1
			for _, d := range m.Shape {
				size *= d
			}
			if x := ex.Inputs[m.Name]; x != nil && len(x) != size {
				return nil, fmt.Errorf("row %q: %s has %d values; shape %v takes %d", ex.ID, m.Name, len(x), m.Shape, size)
			}
		}
		r.text = base.Tokenizer.Encode(ex.Text)
		r.text = r.text[:min(len(r.text), room)]
		if ex.Target != "" {
			r.target = append(base.Tokenizer.Encode(ex.Target), base.Tokenizer.End())
			if len(r.target) > cfg.MaxTokens {
				return nil, fmt.Errorf("row %q: the target takes %d tokens; the federation's max_tokens is %d: shorten it", ex.ID, len(r.target), cfg.MaxTokens)
			}
			label, seen := labels[ex.Target]
			if !seen {
				label = len(labels)
				labels[ex.Target] = label
			}
			r.label = label
		}
		rows[i] = r
	}
	return rows, nil
}

// needTargets is an error about the first row without a target.
func needTargets(rows []row) error {
	for _, r := range rows {
		if r.target == nil {
			return fmt.Errorf("row %q has no target", r.id)
		}
	}
	return nil
}

// needUniqueIDs is an error about the first id that is empty or occurs twice: supervision names public rows by their ids.
func needUniqueIDs(rows []row) error {
	seen := make(map[string]bool, len(rows))
	for _, r := range rows {
		if r.id == "" || seen[r.id] {
			return fmt.Errorf("row id %q is empty or occurs twice", r.id)
		}
		seen[r.id] = true
	}
	return nil
}

// inputs is the part of a batch that needs no targets.
func inputs(modalities []model.Modality, rows []row) model.Batch {
	b := model.Batch{Inputs: make(map[string][][]float32, len(modalities))}
	for _, m := range modalities {
		values := make([][]float32, len(rows))
		for i, r := range rows {
			values[i] = r.inputs[m.Name]
		}
		b.Inputs[m.Name] = values
	}
	if slices.ContainsFunc(rows, func(r row) bool { return len(r.text) > 0 }) {
		for _, r := range rows {
			b.Text = append(b.Text, r.text)
		}
	}
	return b
}

// labelled is inputs with the rows' targets.
func labelled(modalities []model.Modality, rows []row) model.Batch {
	b := inputs(modalities, rows)
	for _, r := range rows {
		b.Target = append(b.Target, r.target)
		b.Labels = append(b.Labels, r.label)
	}
	return b
}

// sampler deals the batches of one stage of one round: every epoch is a fresh permutation, cut into whole batches without a rest, so
// that no batch is short (a graph has one shape) or holds a row twice (contrast).
type sampler struct {
	rows, batch int
	name        string
	seed        uint64
	epoch       int
	order       []int
}

func newSampler(rows, batch int, seed uint64, name string) *sampler {
	return &sampler{rows: rows, batch: min(rows, batch), seed: seed, name: name, epoch: -1}
}

// at gives the indices of step's rows. Steps may be asked for in any order.
func (s *sampler) at(step int) []int {
	perEpoch := s.rows / s.batch
	if epoch := step / perEpoch; epoch != s.epoch {
		s.epoch = epoch
		s.order = newRand(s.seed, s.name, "epoch", epoch).Perm(s.rows)
	}
	first := step % perEpoch * s.batch
	return s.order[first : first+s.batch]
}

// deriveSeed makes an independent seed from the federation's seed and a path of names and numbers.
func deriveSeed(seed uint64, path ...any) uint64 {
	h := sha256.New()
	fmt.Fprintf(h, "%d", seed)
	for _, p := range path {
		fmt.Fprintf(h, " %q", fmt.Sprint(p))
	}
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

func newRand(seed uint64, path ...any) *rand.Rand {
	return rand.New(rand.NewPCG(seed, deriveSeed(seed, path...)))
}

// pick gives the rows at indices.
func pick(rows []row, indices []int) []row {
	out := make([]row, len(indices))
	for i, j := range indices {
		out[i] = rows[j]
	}
	return out
}
