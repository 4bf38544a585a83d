package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// MarshalJSON gives HuggingFace's config.json of the family; equal configs give equal bytes.
func (c Config) MarshalJSON() ([]byte, error) {
	a, err := c.architecture()
	if err != nil {
		return nil, err
	}
	return json.Marshal(a.hfConfig())
}

// UnmarshalJSON reads HuggingFace's config.json. Without a model_type it is a GPT-2's. Options that change what a model
// computes and are not supported are errors that name them; those that concern its training or generation are ignored. The
// result is not validated.
func (c *Config) UnmarshalJSON(raw []byte) error {
	var o options
	if err := json.Unmarshal(raw, &o.values); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	families := map[string]func(*options) Config{GPT2.String(): readGPT2, Llama.String(): readLlama}
	name := o.string("model_type", GPT2.String())
	read, ok := families[name]
	if !ok {
		return fmt.Errorf("config: model_type %q is not supported; there are %s", name, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
	}
	got := read(&o)
	o.only("quantization_config", nil)
	if err := errors.Join(o.errs...); err != nil {
		return err
	}
	*c = got
	return nil
}

// options reads the fields of a config.json and collects what is wrong with them.
type options struct {
	values map[string]json.RawMessage
	errs   []error
}

// get decodes an option. A null counts as missing.
func (o *options) get(name string, into any) bool {
	raw, ok := o.values[name]
	if !ok || string(raw) == "null" {
		return false
	}
	if err := json.Unmarshal(raw, into); err != nil {
		o.errs = append(o.errs, fmt.Errorf("config: %s is %s: %w", name, cut(raw), err))
		return false
	}
	return true
}

func (o *options) int(name string, missing int) int {
	var v float64 // some files say 4096.0
	if !o.get(name, &v) {
		return missing
	}
	if v != math.Trunc(v) || math.Abs(v) > 1<<40 {
		o.errs = append(o.errs, fmt.Errorf("config: %s is %v, want a whole number", name, v))
		return missing
	}
	return int(v)
}

// need is int for an option without a default.
func (o *options) need(name string) int {
	v := o.int(name, 0)
	if raw, ok := o.values[name]; !ok || string(raw) == "null" {
		o.errs = append(o.errs, fmt.Errorf("config: %s is missing", name))
	}
	return v
}

func (o *options) float(name string, missing float64) float64 {
	o.get(name, &missing)
	return missing
}

func (o *options) bool(name string, missing bool) bool {
	o.get(name, &missing)
	return missing
}

func (o *options) string(name, missing string) string {
	o.get(name, &missing)
	return missing
}

// only refuses an option that is given and has none of the supported values. A nil stands for null.
func (o *options) only(name string, supported ...any) {
	raw, ok := o.values[name]
	if !ok || string(raw) == "null" {
		return
	}
	var got any
	if err := json.Unmarshal(raw, &got); err != nil {
		o.errs = append(o.errs, fmt.Errorf("config: %s: %w", name, err))
		return
	}
	var texts []string
	for _, s := range supported {
		text, err := json.Marshal(s)
		same, err2 := json.Marshal(got)
		if err == nil && err2 == nil && string(text) == string(same) {
			return
		}
		texts = append(texts, string(text))
	}
	o.errs = append(o.errs, fmt.Errorf("config: %s is %s, which is not supported; supported: %s", name, cut(raw), strings.Join(texts, ", ")))
}

// plainRope refuses rotary positions that are scaled in any way, and gives the theta that the option names, or 0.
func (o *options) plainRope(name string) float64 {
	inner := options{}
	if !o.get(name, &inner.values) {
		return 0
	}
	kind := inner.string("rope_type", inner.string("type", "default"))
	theta := inner.float("rope_theta", 0)
	inner.only("partial_rotary_factor", nil, 1)
	if kind != "default" || len(inner.errs) > 0 {
		o.errs = append(o.errs, fmt.Errorf("config: %s is %s, which is not supported; supported: null, or the type default", name, cut(o.values[name])))
	}
	return theta
}

// cut shortens a value for an error.
func cut(raw json.RawMessage) string {
	const most = 100
	if s := string(raw); len(s) <= most {
		return s
	}
	return string(raw[:most]) + "..."
}
