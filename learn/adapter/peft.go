package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Names of an adapter's files in a folder that HuggingFace PEFT loads.
const (
	PEFTConfigFile = "adapter_config.json"
	PEFTModelFile  = "adapter_model.safetensors"
)

// peftPrefix is what PEFT puts in front of the names of the wrapped model's modules.
const peftPrefix = "base_model.model."

// PEFT is a LoRA adapter as HuggingFace PEFT keeps it: one rank and alpha for all modules, no bias, nothing else trained.
type PEFT struct {
	Base        string   // base_model_name_or_path; may be empty
	Rank        int      // r
	Alpha       float64  // lora_alpha; updates are B A alpha/r
	Dropout     float64  // lora_dropout, in training
	Targets     []string // target_modules: the whole name of a module, or a suffix of it after a dot
	FanInFanOut bool     // base weights are [in, out], GPT-2's Conv1D
	Tensors     []Tensor // base_model.model.MODULE.lora_A.weight [r, in] and .lora_B.weight [out, r], in name order
}

// NewPEFT makes an adapter of a component "lora". Rank, targets and layout are taken from its tensors: a target is a module's name
// without its layer ("attn.c_attn"), and only GPT-2 has its linear maps transposed.
func NewPEFT(c Component, base string, alpha, dropout float64) (*PEFT, error) {
	p := &PEFT{Base: base, Alpha: alpha, Dropout: dropout, Tensors: c.Tensors}
	pairs, err := pairsOf(c.Tensors)
	if err != nil {
		return nil, fmt.Errorf("adapter of component %q: %w", c.Name, err)
	}
	for i, q := range pairs {
		if i == 0 {
			p.Rank, p.FanInFanOut = q.rank, isConv1D(q.module)
		}
		if target := withoutLayer(q.module); !slices.Contains(p.Targets, target) {
			p.Targets = append(p.Targets, target)
		}
	}
	slices.Sort(p.Targets)
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("adapter of component %q: %w", c.Name, err)
	}
	return p, nil
}

// isConv1D tells whether a module has the name of one of GPT-2's Conv1D, whose weights are [in, out].
func isConv1D(module string) bool {
	last := module[strings.LastIndexByte(module, '.')+1:]
	return slices.Contains([]string{"c_attn", "c_proj", "c_fc", "q_attn"}, last)
}

// withoutLayer is the part of a module's name behind the number of its layer.
func withoutLayer(module string) string {
	parts := strings.Split(module, ".")
	for i := len(parts) - 2; i >= 0; i-- {
		if _, err := strconv.ParseUint(parts[i], 10, 31); err == nil {
			return strings.Join(parts[i+1:], ".")
		}
	}
	return strings.TrimPrefix(module, peftPrefix)
}

// Component is the adapter as a component "lora" with a signature of the caller's (what says which base it is for).
func (p *PEFT) Component(signature string) Component {
	return Component{Name: "lora", Signature: signature, Tensors: p.Tensors}.Clone()
}

// Validate says what of the adapter does not fit together: rank and tensors, targets and modules, names and layout.
func (p *PEFT) Validate() error {
	pairs, err := pairsOf(p.Tensors)
	if err != nil {
		return err
	}
	if len(pairs) == 0 {
		return errors.New("there are no tensors")
	}
	if p.Rank < 1 || !(p.Alpha > 0) || math.IsInf(p.Alpha, 0) || !(p.Dropout >= 0 && p.Dropout < 1) {
		return fmt.Errorf("r is %d, lora_alpha %v, lora_dropout %v: want r and lora_alpha more than 0, lora_dropout 0 or more and less than 1", p.Rank, p.Alpha, p.Dropout)
	}
	if err := (Component{Name: "lora", Signature: "-", Tensors: p.Tensors}).Check(); err != nil {
		return err
	}
	used := make([]bool, len(p.Targets))
	for _, q := range pairs {
		module, ok := strings.CutPrefix(q.module, peftPrefix)
		if !ok || module == "" {
			return fmt.Errorf("tensor %q: want a name that begins with %s", q.module+endA, peftPrefix)
		}
		if q.rank != p.Rank {
			return fmt.Errorf("tensor %q is of rank %d, r is %d", q.module+endA, q.rank, p.Rank)
		}
		named := false
		for i, target := range p.Targets {
			if module == target || strings.HasSuffix(module, "."+target) {
				used[i], named = true, true
			}
		}
		if !named {
			return fmt.Errorf("module %q has an update, but target_modules %q does not name it", module, p.Targets)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		return fmt.Errorf("target_modules names %q, but no module of that name has an update", p.Targets[i])
	}
	return nil
}

// peftConfig is what is written of adapter_config.json: all options that PEFT had before the first that this package refuses.
type peftConfig struct {
	Type         string         `json:"peft_type"`
	Task         string         `json:"task_type"`
	Base         string         `json:"base_model_name_or_path"`
	Rank         int            `json:"r"`
	Alpha        float64        `json:"lora_alpha"`
	Dropout      float64        `json:"lora_dropout"`
	Targets      []string       `json:"target_modules"`
	FanInFanOut  bool           `json:"fan_in_fan_out"`
	Bias         string         `json:"bias"`
	Inference    bool           `json:"inference_mode"`
	Init         bool           `json:"init_lora_weights"`
	Save         []string       `json:"modules_to_save"`
	Layers       []int          `json:"layers_to_transform"`
	Pattern      *string        `json:"layers_pattern"`
	RankPattern  map[string]int `json:"rank_pattern"`
	AlphaPattern map[string]int `json:"alpha_pattern"`
	RSLoRA       bool           `json:"use_rslora"`
	DoRA         bool           `json:"use_dora"`
	Revision     *string        `json:"revision"`
}

// Write encodes adapter_config.json and adapter_model.safetensors. Equal adapters give equal bytes.
func (p *PEFT) Write(config, weights io.Writer) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("writing the adapter: %w", err)
	}
	text, err := json.MarshalIndent(peftConfig{
		Type: "LORA", Task: "CAUSAL_LM", Base: p.Base, Rank: p.Rank, Alpha: p.Alpha, Dropout: p.Dropout, Targets: p.Targets,
		FanInFanOut: p.FanInFanOut, Bias: "none", Inference: true, Init: true,
		RankPattern: map[string]int{}, AlphaPattern: map[string]int{},
	}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", PEFTConfigFile, err)
	}
	if _, err := config.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("writing %s: %w", PEFTConfigFile, err)
	}
	if err := WriteTensors(weights, p.Tensors, map[string]string{"format": "pt"}); err != nil {
		return fmt.Errorf("writing %s: %w", PEFTModelFile, err)
	}
	return nil
}
