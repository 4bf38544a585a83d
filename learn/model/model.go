package model

import (
	"fmt"
)

// Model is one node's model. Not safe for concurrent use; different models are independent. A seed makes it deterministic.
type Model struct {
	base    *Base
	spec    Spec
	end     int // id of the end-of-text token, -1 without a tokenizer
	params  []*parameter
	byName  map[string]*parameter
	parts   []partition
	graphs  cache[graphKey, *stepGraph]
	fusions cache[int, *fuseGraph]
	seqs    []sequence // of the last Step; reused
	decoder *decoding  // of the last Answer; reused
}

// partition is a component as a range of params.
type partition struct {
	name, signature string
	from, to        int
}

// New builds a model on base, which is shared and never written. seed gives the initial weights.
func New(base *Base, spec Spec, seed uint64) (*Model, error) {
	spec = spec.WithDefaults()
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if err := base.Validate(); err != nil {
		return nil, fmt.Errorf("base: %w", err)
	}
	if base.Config.Positions <= spec.Prompt {
		return nil, fmt.Errorf("spec: %d soft prompts leave no room in the base's %d positions", spec.Prompt, base.Config.Positions)
	}
	spec.Targets = spec.targetsOf(base.Config.arch())
	m := &Model{base: base, spec: spec, end: -1, byName: make(map[string]*parameter)}
	if base.Tokenizer != nil {
		m.end = base.Tokenizer.End()
	}
	digest := base.Digest()
	m.add("lora", spec.lora().parameters(base.Config, seed), "base="+digest, fmt.Sprintf("alpha=%g", spec.Alpha))
	for _, modality := range spec.Modalities {
		m.add("encoder/"+modality.Name, encoderParameters(spec, modality, seed), "kind="+modality.Kind)
		m.add("connector/"+modality.Name, fuseParameters(spec, modality, seed))
	}
	m.add("connector", promptParameters(spec, base.Config.Dim, seed), "base="+digest)
	return m, nil
}

// Spec is the structure, with defaults filled in, modalities in name order, and the LoRA targets of the base's family.
func (m *Model) Spec() Spec { return m.spec }

// Params counts all parameters and the trainable ones.
func (m *Model) Params() (total, trainable int64) {
	for _, p := range m.params {
		trainable += int64(len(p.Data))
	}
	return m.base.Params() + trainable, trainable
}
