package main

import (
	"github.com/spf13/pflag"

	"github.com/mlecs/mlecs/learn/experiment"
	"github.com/mlecs/mlecs/learn/method"
)

// dealFlags are those that say how a data set is dealt out to edges and how they learn, but for their number and the rounds: the same in a
// testnet and in an experiment.
func dealFlags(f *pflag.FlagSet, s *experiment.Setting, tuned *string) {
	f.StringVar(&s.Target, "target", s.Target, "field of the rows to generate (default \"target\")")
	f.IntVar(&s.RowsPerNode, "rows-per-node", s.RowsPerNode, "private training rows of an edge, at most; 0: all that there are")
	f.Float64Var(&s.RowsSpread, "rows-spread", s.RowsSpread, "unequal edges: they have rows-per-node divided by up to this, to times this, rows (default: all alike)")
	f.IntVar(&s.PublicRows, "public-rows", s.PublicRows, "public rows; 0: half of the training rows")
	f.Float64Var(&s.ModalityRate, "modality-rate", s.ModalityRate, "probability that an edge has a modality; 0: as the data suggests")
	f.IntVar(&s.Families, "families", s.Families, "structures (base model, encoders, fusion, LoRA rank) among the edges: 1 or 2")
	f.Var(structures{&s.Families, &s.Structures}, "structure", structureUsage)
	f.StringVar(&s.PublicLabels, "public-labels", s.PublicLabels, "who knows the targets of the public rows: cloud (the super-peers alone) or edges (everybody)")
	f.IntVar(&s.Steps, "steps", s.Steps, "optimiser steps of an edge in all rounds together")
	f.IntVar(&s.AdaptSteps, "adapt-steps", s.AdaptSteps, "steps of an edge on its private rows after the last aggregate")
	f.StringVar(tuned, "tuned", "", "hyper-parameters by method, from mlecs experiment --tune (default: built in)")
	f.StringVar(&s.GroupBy, "group-by", s.GroupBy, "field whose rows are never divided between training and test (default \"sequence\")")
}

// wireFlags are those that say what is made of what leaves a node: the same in a testnet and in an experiment.
func wireFlags(f *pflag.FlagSet, s *experiment.Setting) {
	f.StringVar(&s.Codec, "codec", s.Codec, "codec of deltas: safetensors, bf16, int8, int4, topk[:FRACTION] or lowrank[:FRACTION] (default int8)")
	f.StringVar(&s.AggregateCodec, "aggregate-codec", s.AggregateCodec, "codec of aggregates: safetensors, bf16 or int8 (default int8)")
	f.StringVar(&s.SupervisionCodec, "supervision-codec", s.SupervisionCodec, "codec of fused representations and soft targets: safetensors, bf16, int8 or int4 (default int8)")
	f.StringVar(&s.Rule, "rule", s.Rule, ruleUsage+" (default modality-rows)")
	f.Float64Var(&s.DPClip, "dp-clip", s.DPClip, "clip what leaves an edge in a round to this Euclidean norm; 0: do not")
	f.Float64Var(&s.DPNoise, "dp-noise", s.DPNoise, "add normal noise of this many times --dp-clip; 0: none")
}

// ruleUsage is the help of --rule.
const ruleUsage = "what an aggregate is of deltas: a mean, with weights by modality-rows, modalities or uniform; or where a part of the edges may be false, median or trimmed-mean"

// structures is a flag that may be given again: the structure of one more family of edges each time.
type structures struct {
	families *int // counts them, the first included
	all      *[]method.Family
}

const structureUsage = `structure of the second family, and if given again of further ones, as JSON: ` +
	`{"model":{"architecture":"llama","layers":2,"dim":64,"heads":4,"kv_heads":2},"width":12,"projection":48,"fused":192,"rank":4}; ` +
	`what is left out is as in the first family`

func (s structures) Set(text string) error {
	f, err := method.ParseFamily(text)
	if err != nil {
		return err
	}
	*s.all = append(*s.all, f)
	*s.families = 1 + len(*s.all)
	return nil
}

func (s structures) String() string { return "" }
func (s structures) Type() string   { return "JSON" }
