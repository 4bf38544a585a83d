package experiment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
)

func TestTrials(t *testing.T) {
	const budget = 8
	for _, name := range method.Methods() {
		points := trials(name, budget)
		if len(points) != budget || string(points[0]) != "{}" {
			t.Fatalf("%s: %d points, the first %s; want %d, the first the defaults", name, len(points), points[0], budget)
		}
		if fmt.Sprintf("%s", trials(name, budget)) != fmt.Sprintf("%s", points) {
			t.Errorf("%s: other points when asked again", name)
		}
		if less := trials(name, budget/2); fmt.Sprintf("%s", less) != fmt.Sprintf("%s", points[:budget/2]) {
			t.Errorf("%s: a smaller search is no part of a larger one", name)
		}
		var configs []string
		for _, p := range points {
			cfg, err := Tuned{name: p}.Config(name, Default(), 1)
			if err != nil {
				t.Fatal(err)
			}
			if err := cfg.Validate(); err != nil {
				t.Errorf("%s, %s: %v", name, p, err)
			}
			configs = append(configs, fmt.Sprint(cfg))
		}
		slices.Sort(configs)
		if n := len(slices.Compact(configs)); n != budget {
			t.Errorf("%s: %d different configurations among %d", name, n, budget)
		}
	}
}

func TestTrialsOfASmallSpaceAreAll(t *testing.T) {
	size := 1
	for _, k := range space("standalone") {
		size *= len(k.values)
	}
	if n := len(trials("standalone", 1000)); n != size+1 {
		t.Errorf("%d points, want the defaults and %d", n, size)
	}
}

// TestVariantsTakeTheValuesOfMlecs: an ablation differs from mlecs in what it lacks, and in nothing else. The paper's method and the
// baselines have values of their own.
func TestVariantsTakeTheValuesOfMlecs(t *testing.T) {
	tuned := Tuned{"mlecs": []byte(`{"lr": 0.5, "spec": {"dropout": 0.25}}`), "mlecs-uniform": []byte(`{"lr": 0.125}`)}
	plain := Default().Configure(method.Default(), 7)
	for _, name := range method.Methods() {
		lr, dropout := plain.LR, plain.Spec.Dropout
		switch {
		case name == "mlecs-uniform":
			lr = 0.125
		case name == "mlecs" || strings.HasPrefix(name, "mlecs-") && name != "mlecs-paper":
			lr, dropout = 0.5, 0.25
		}
		cfg, err := tuned.Config(name, Default(), 7)
		if err != nil {
			t.Fatal(err)
		}
		want := plain
		want.LR, want.Spec.Dropout = lr, dropout
		if fmt.Sprint(cfg) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, want %+v", name, cfg, want)
		}
	}
}

// TestExchangeOfTheSettingHoldsForAll: what is said on the command line is stronger than what was tuned.
func TestExchangeOfTheSettingHoldsForAll(t *testing.T) {
	s := Default()
	s.Codec, s.DPClip, s.DPNoise = "lowrank:0.004", 2, 0.5
	cfg, err := Tuned{"mlecs": []byte(`{"codec": "int4", "aggregate_codec": "bf16"}`)}.Config("mlecs", s, 1)
	if err != nil || cfg.Codec != "lowrank:0.004" || cfg.AggregateCodec != "bf16" || cfg.SupervisionCodec != method.Default().SupervisionCodec || cfg.DPClip != 2 || cfg.DPNoise != 0.5 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestReadTuned(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		want []string // in the error; none: it is right
	}{
		"right":                  {`{"mlecs": {"lr": 0.01, "spec": {"dropout": 0.3}}, "fedprox": {}}`, nil},
		"nothing tuned":          {`{}`, nil},
		"unknown method":         {`{"fedfoo": {"lr": 0.01}}`, []string{`"fedfoo" is no method`, "fedavg-lora"}},
		"unknown field":          {`{"fedprox": {"learning_rate": 0.01}}`, []string{"fedprox", `"learning_rate"`}},
		"unknown part":           {`{"fedprox": {"spec": {"drop": 0.3}}}`, []string{"fedprox", `"drop"`}},
		"value out of range":     {`{"fedprox": {"lr": -1}}`, []string{"fedprox", "lr is -1"}},
		"wrong type":             {`{"fedprox": {"lr": "high"}}`, []string{"fedprox", "lr"}},
		"the first by name":      {`{"mlecs": {"lr": -1}, "fedmd": {"lr": -2}, "hetlora": {"lr": -3}}`, []string{"fedmd"}},
		"a seed of its own":      {`{"mlecs": {"seed": 3}}`, []string{"mlecs", "seed", "leave them out"}},
		"labels that others see": {`{"mlecs": {"public_labels": "edges"}}`, []string{"mlecs", "public_labels", "leave them out"}},
		"no JSON":                {`{"mlecs"`, []string{"read tuned hyper-parameters"}},
		"a list":                 {`[]`, []string{"read tuned hyper-parameters"}},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tuned.json")
			if err := os.WriteFile(file, []byte(c.file), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := ReadTuned(file)
			if (err == nil) != (c.want == nil) {
				t.Fatalf("error %v", err)
			}
			if err == nil {
				return
			}
			for _, want := range append(c.want, file) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
	if _, err := ReadTuned(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
