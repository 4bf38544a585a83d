package adapter

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// maxPEFTConfig bounds adapter_config.json; real ones have a kilobyte or two.
const maxPEFTConfig = 1 << 20

// plainOptions are options of PEFT's LoRA that change what the tensors mean or add some, with the values under which they do not; null
// and what is empty never do. Variants of LoRA that PEFT has or will have are switched on by a use_... or a ..._config: all of those must
// be off, but for the one that only chooses first values.
var plainOptions = map[string][]any{
	"bias":                    {"none"},
	"lora_bias":               {false},
	"init_lora_weights":       {true, false, "gaussian", "eva", "orthogonal"}, // the others move part of the base into the adapter
	"modules_to_save":         {},
	"layers_to_transform":     {},
	"layer_replication":       {},
	"rank_pattern":            {},
	"alpha_pattern":           {},
	"trainable_token_indices": {},
	"target_parameters":       {},
	"alora_invocation_tokens": {},
}

// plain gives the values under which an option changes nothing; ok is false if it never does.
func plain(option string) (values []any, ok bool) {
	switch values, ok = plainOptions[option]; {
	case ok:
	case strings.HasPrefix(option, "use_"):
		return []any{false}, true
	case strings.HasSuffix(option, "_config") && option != "eva_config":
		return nil, true
	}
	return values, ok
}

// ReadPEFT decodes an adapter that HuggingFace PEFT saved, with at most limit bytes of weights. Options that change what the tensors
// mean (DoRA, rsLoRA, ranks by pattern, biases, modules saved whole, initialisations that change the base) are errors that name them, as
// is all that does not fit together.
func ReadPEFT(config, weights io.Reader, limit int64) (*PEFT, error) {
	text, err := io.ReadAll(io.LimitReader(config, maxPEFTConfig+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", PEFTConfigFile, err)
	}
	p, err := parsePEFTConfig(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", PEFTConfigFile, err)
	}
	if p.Tensors, _, err = ReadTensors(weights, limit); err != nil {
		return nil, fmt.Errorf("reading %s: %w", PEFTModelFile, err)
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("%s does not fit %s: %w", PEFTModelFile, PEFTConfigFile, err)
	}
	return p, nil
}

func parsePEFTConfig(text []byte) (*PEFT, error) {
	if len(text) > maxPEFTConfig {
		return nil, fmt.Errorf("it has more than %d bytes", maxPEFTConfig)
	}
	var options map[string]json.RawMessage
	if err := json.Unmarshal(text, &options); err != nil {
		return nil, fmt.Errorf("it is no JSON object: %w", err)
	}
	var kind string
	p := &PEFT{}
	for _, o := range []struct {
		name string
		into any
	}{{"peft_type", &kind}, {"r", &p.Rank}, {"lora_alpha", &p.Alpha}} {
		if len(options[o.name]) == 0 {
			return nil, fmt.Errorf("option %q is missing", o.name)
		}
		if err := json.Unmarshal(options[o.name], o.into); err != nil {
			return nil, fmt.Errorf("option %q: %w", o.name, err)
		}
	}
	if kind != "LORA" {
		return nil, fmt.Errorf("peft_type is %q; only LORA is supported", kind)
	}
	if err := onlyPlain(options); err != nil {
		return nil, err
	}
	for _, o := range []struct {
		name string
		into any
	}{{"base_model_name_or_path", &p.Base}, {"lora_dropout", &p.Dropout}, {"fan_in_fan_out", &p.FanInFanOut}} {
		if raw, ok := options[o.name]; ok {
			if err := json.Unmarshal(raw, o.into); err != nil {
				return nil, fmt.Errorf("option %q: %w", o.name, err)
			}
		}
	}
	if err := json.Unmarshal(options["target_modules"], &p.Targets); err != nil || len(p.Targets) == 0 {
		return nil, errors.New("target_modules is no list of names; patterns are not supported: list the modules")
	}
	return p, nil
}

// onlyPlain refuses options that would change the tensors' meaning.
func onlyPlain(options map[string]json.RawMessage) error {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		values, ok := plain(name)
		if !ok {
			continue
		}
		raw := options[name]
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return fmt.Errorf("option %q: %w", name, err)
		}
		if v == nil {
			continue
		}
		empty := false
		switch x := v.(type) {
		case []any:
			empty = len(x) == 0
		case map[string]any:
			empty = len(x) == 0
		default:
			if slices.Contains(values, v) {
				continue
			}
		}
		if !empty {
			return fmt.Errorf("option %q is %.100s: adapters with it are not supported", name, raw)
		}
	}
	return nil
}
