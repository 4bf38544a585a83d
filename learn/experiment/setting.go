package experiment

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/method"
)

// Setting is how a data set is dealt out to the nodes of a federation, and how long they learn together. A testnet and an experiment with
// equal settings, data and seed give the same scores.
type Setting struct {
	Target       string  `json:"target"`                // metadata field to generate; empty: "target"
	Nodes        int     `json:"nodes"`                 // edges
	RowsPerNode  int     `json:"rows_per_node"`         // training rows of an edge, at most; 0: all that there are
	PublicRows   int     `json:"public_rows"`           // held out for the super-peer; 0: PublicFraction of the training rows
	ModalityRate float64 `json:"modality_rate"`         // probability that an edge has a modality; 0: as the data suggests
	RowsSpread   float64 `json:"rows_spread,omitempty"` // edges have RowsPerNode divided by up to this, to times this, rows; 0 or 1: all alike
	Families     int     `json:"families"`              // structures among the edges: edge i has structure i mod Families
	// The structures beyond the first, if they are not method.SecondFamily.
	Structures   []method.Family `json:"structures,omitempty"`
	PublicLabels string          `json:"public_labels"` // who knows the targets of the public rows: "cloud" or "edges" too
	Rounds       int             `json:"rounds"`
	Steps        int             `json:"steps"`       // optimiser steps of an edge in all rounds together
	AdaptSteps   int             `json:"adapt_steps"` // of an edge on its private rows, after the last aggregate
	GroupBy      string          `json:"group_by"`    // metadata field whose rows are never divided between training and test; empty: "sequence"

	BaseDType string `json:"base_dtype,omitempty"` // how every node stores its frozen bases: see kernel.DType; empty: fp32

	// How what is exchanged is encoded, as in method.Config; empty: as the hyper-parameters say. Of the methods compared with mlecs these
	// are counted, and what they lose is not: see method.Traffic.
	Codec            string `json:"codec,omitempty"`
	AggregateCodec   string `json:"aggregate_codec,omitempty"`
	SupervisionCodec string `json:"supervision_codec,omitempty"`

	// Rule is how a super-peer makes one component of several, one of method.Rules; empty: as the hyper-parameters say. Of mlecs alone.
	Rule string `json:"rule,omitempty"`

	// What bounds what deltas tell of private rows, as in method.Config; 0: as the hyper-parameters say. Of mlecs alone.
	DPClip  float64 `json:"dp_clip,omitempty"`
	DPNoise float64 `json:"dp_noise,omitempty"`
}

// Default is the setting S3 of the design: many nodes with few rows each, in two structures, without labels on their public rows.
func Default() Setting {
	return Setting{Nodes: 20, RowsPerNode: 20, PublicRows: 40, ModalityRate: 0.5, Families: 2, PublicLabels: "cloud", Rounds: 20, Steps: 300, AdaptSteps: 40}
}

// Validate names the first setting that cannot work.
func (s Setting) Validate() error {
	switch {
	case s.Nodes < 1 || s.Nodes > 10000:
		return fmt.Errorf("nodes is %d; it must be 1 to 10000", s.Nodes)
	case s.RowsPerNode < 0:
		return fmt.Errorf("rows per node is %d; it must be 0 (all) or more", s.RowsPerNode)
	case s.PublicRows < 0:
		return fmt.Errorf("public rows is %d; it must be 0 (a part of the training rows) or more", s.PublicRows)
	case !(s.ModalityRate >= 0 && s.ModalityRate <= 1):
		return fmt.Errorf("modality rate is %v; it must be 0 (as the data suggests) to 1", s.ModalityRate)
	case s.RowsSpread != 0 && !(s.RowsSpread >= 1):
		return fmt.Errorf("rows spread is %v; it must be 1 (all alike) or more", s.RowsSpread)
	case len(s.Structures) == 0 && (s.Families < 1 || s.Families > 2):
		return fmt.Errorf("families is %d; it must be 1 or 2, or the structure of every further family be given", s.Families)
	case len(s.Structures) > 0 && s.Families != 1+len(s.Structures):
		return fmt.Errorf("families is %d, and %d structures beyond the first are given", s.Families, len(s.Structures))
	case s.PublicLabels != "cloud" && s.PublicLabels != "edges":
		return fmt.Errorf(`public labels is %q; it must be "cloud" or "edges"`, s.PublicLabels)
	case s.Rounds < 1 || s.Rounds > 10000:
		return fmt.Errorf("rounds is %d; it must be 1 to 10000", s.Rounds)
	case s.AdaptSteps < 0 || s.AdaptSteps > 1e6:
		return fmt.Errorf("adapt steps is %d; it must be 0 to 1000000", s.AdaptSteps)
	case s.Steps < s.Rounds || s.Steps > 1e7:
		return fmt.Errorf("steps is %d; it must be at least one a round, and at most 10000000", s.Steps)
	}
	if _, err := s.dtype(); err != nil {
		return fmt.Errorf("base dtype: %w", err)
	}
	return s.Configure(method.Default(), 0).Validate()
}

// exchange is cfg with what the setting says of the exchange.
func (s Setting) exchange(cfg method.Config) method.Config {
	cfg.Codec = cmp.Or(s.Codec, cfg.Codec)
	cfg.AggregateCodec = cmp.Or(s.AggregateCodec, cfg.AggregateCodec)
	cfg.SupervisionCodec = cmp.Or(s.SupervisionCodec, cfg.SupervisionCodec)
	cfg.Rule = cmp.Or(s.Rule, cfg.Rule)
	cfg.DPClip, cfg.DPNoise = cmp.Or(s.DPClip, cfg.DPClip), cmp.Or(s.DPNoise, cfg.DPNoise)
	return cfg
}

// dtype is how bases are stored.
func (s Setting) dtype() (kernel.DType, error) {
	if s.BaseDType == "" {
		return kernel.Float32, nil
	}
	return kernel.ParseDType(s.BaseDType)
}

// cclShare of an edge's steps are on public rows, where it learns from them; a model of the super-peer takes as many steps a round as an
// edge takes on its private rows.
const cclShare = 0.2

// Configure is cfg as this setting and a seed need it.
func (s Setting) Configure(cfg method.Config, seed uint64) method.Config {
	cfg.Seed, cfg.PublicLabels = seed, s.PublicLabels
	each := float64(s.Steps) / float64(s.Rounds)
	cfg.CCLSteps, cfg.AMTSteps = int(each*cclShare+0.5), max(int(each*(1-cclShare)+0.5), 1)
	cfg.CloudSteps, cfg.AdaptSteps = cfg.AMTSteps, s.AdaptSteps
	cfg.Families = slices.Clone(s.Structures)
	if s.Families > 1 && len(s.Structures) == 0 {
		cfg.Families = []method.Family{method.SecondFamily()}
	}
	return s.exchange(cfg)
}
