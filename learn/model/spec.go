package model

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds of modality.
const (
	Image  = "image"  // [C, H, W]
	Audio  = "audio"  // log-mel spectrogram [1, mels, frames]
	Series = "series" // [C, T]
	Text   = "text"   // [features]: hashed bag of words
)

// Modality is one input of the model.
type Modality struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Shape []int  `json:"shape"` // of one row
}

// Size is the number of elements of one row.
func (m Modality) Size() int {
	n := 1
	for _, d := range m.Shape {
		n *= d
	}
	return n
}

// Spec is the structure of one node's model around its base. Zero fields take the default in the comment, except the
// dropouts, where zero means none.
type Spec struct {
	Modalities []Modality `json:"modalities"`
	Width      int        `json:"width"`        // encoder channels: 16
	Projection int        `json:"projection"`   // width of a modality's vector: 64
	Fused      int        `json:"fused"`        // width of the fused representation: 256
	Prompt     int        `json:"prompt"`       // soft-prompt tokens: 8
	Rank       int        `json:"rank"`         // LoRA r: 8
	Alpha      float64    `json:"alpha"`        // LoRA alpha: 16; the update is scaled by alpha/r
	Dropout    float64    `json:"dropout"`      // in the connector
	LoRADrop   float64    `json:"lora_dropout"` // in front of LoRA's A
	// Targets are LoRA's, by name suffix as in PEFT. A federation may have bases of several families, so the list may name
	// modules of each: a model takes those of its base's family, and where that has none of them its default, the maps into and
	// out of attention (GPT-2: attn.c_attn, attn.c_proj; Llama: q_proj, k_proj, v_proj, o_proj). Empty, but not nil: no LoRA.
	Targets []string `json:"targets"`
}

const maxElements = 1 << 24

// WithDefaults fills in zero fields and puts the modalities in name order.
func (s Spec) WithDefaults() Spec {
	for _, f := range []struct {
		field *int
		value int
	}{{&s.Width, 16}, {&s.Projection, 64}, {&s.Fused, 256}, {&s.Prompt, 8}, {&s.Rank, 8}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	if s.Alpha == 0 {
		s.Alpha = 16
	}
	s.Modalities = slices.Clone(s.Modalities)
	slices.SortFunc(s.Modalities, func(a, b Modality) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// Validate says which field is wrong.
func (s Spec) Validate() error {
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"width", s.Width, 1 << 10},
		{"projection", s.Projection, 1 << 14},
		{"fused", s.Fused, 1 << 14},
		{"prompt", s.Prompt, 1 << 10},
		{"rank", s.Rank, 1 << 10},
	} {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("spec: %s is %d, want 1 to %d", f.name, f.value, f.max)
		}
	}
	if !(s.Alpha > 0 && s.Alpha < 1e6) {
		return fmt.Errorf("spec: alpha is %v, want more than 0", s.Alpha)
	}
	if !(s.Dropout >= 0 && s.Dropout < 1) {
		return fmt.Errorf("spec: dropout is %v, want 0 or more and less than 1", s.Dropout)
	}
	if !(s.LoRADrop >= 0 && s.LoRADrop < 1) {
		return fmt.Errorf("spec: lora_dropout is %v, want 0 or more and less than 1", s.LoRADrop)
	}
	for _, target := range s.Targets {
		if !targetable(gpt2{}, target) && !targetable(llama{}, target) {
			return fmt.Errorf("spec: no LoRA target is named %q; there are %s", target, strings.Join(targetNames(), ", "))
		}
	}
	if len(s.Modalities) == 0 {
		return fmt.Errorf("spec: no modalities")
	}
	for i, m := range s.Modalities {
		if err := m.validate(); err != nil {
			return err
		}
		if i > 0 && m.Name <= s.Modalities[i-1].Name {
			return fmt.Errorf("spec: modality %q appears twice or out of order", m.Name)
		}
	}
	return nil
}

func (m Modality) validate() error {
	if m.Name == "" || len(m.Name) > 64 || strings.ContainsAny(m.Name, "/+ \n") {
		return fmt.Errorf("spec: bad modality name %q: want 1 to 64 characters without space, / and +", m.Name)
	}
	dims, ok := map[string]int{Image: 3, Audio: 3, Series: 2, Text: 1}[m.Kind]
	if !ok {
		return fmt.Errorf("spec: modality %q has unknown kind %q", m.Name, m.Kind)
	}
	if len(m.Shape) != dims {
		return fmt.Errorf("spec: modality %q of kind %s has shape %v, want %d dimensions", m.Name, m.Kind, m.Shape, dims)
	}
	size := 1
	for _, d := range m.Shape {
		if d < 1 || d > maxElements || size*d > maxElements {
			return fmt.Errorf("spec: modality %q has shape %v: want 1 to %d elements", m.Name, m.Shape, maxElements)
		}
		size *= d
	}
	return nil
}

// matches says whether a LoRA target names the module: the whole name or a suffix after a dot.
func matches(module, target string) bool {
	return module == target || strings.HasSuffix(module, "."+target)
}

// targetable says whether a family has the LoRA target.
func targetable(a architecture, target string) bool {
	return slices.ContainsFunc(a.block(), func(p part) bool { return !p.norm && matches(p.name, target) })
}

// targetNames are the modules of all families that LoRA can tune.
func targetNames() []string {
	var all []string
	for _, a := range []architecture{gpt2{}, llama{}} {
		for _, p := range a.block() {
			if !p.norm {
				all = append(all, p.name)
			}
		}
	}
	return all
}

// targetsOf are the targets on a base of family a, as the doc of Targets says.
func (s Spec) targetsOf(a architecture) []string {
	var own []string
	for _, target := range s.Targets {
		if targetable(a, target) {
			own = append(own, target)
		}
	}
	if own == nil && (s.Targets == nil || len(s.Targets) > 0) {
		return a.targets()
	}
	return own
}
