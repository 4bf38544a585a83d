package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/bench"
)

func TestBench(t *testing.T) {
	file := filepath.Join(t.TempDir(), "step.json")
	out, errOut, code := mlecs("bench", "step", "--runs", "2", "--threads", "1", "--kernel", "portable", "--json", file)
	if code != exitOK || !strings.Contains(out, "training step") {
		t.Fatalf("%d, %s%s", code, out, errOut)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got bench.Step
	if err := json.Unmarshal(raw, &got); err != nil || got.Config != "A" || got.Steps != 2 || got.Threads != 1 || got.Kernel != "portable" || !(got.Median > 0) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBenchTellsOfArithmeticThatIsNotThere(t *testing.T) {
	out, errOut, code := mlecs("bench", "step", "--runs", "1", "--kernel", "portable", "--base-dtype", "w8a8", "--json", "-")
	var got bench.Step
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != exitOK || got.Base == nil || got.Base.DType != "int8" || !strings.Contains(errOut, "int8 instead") {
		t.Errorf("%d, %v, %s%s", code, err, out, errOut)
	}
}

func TestBenchRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"bench", "gemm", "--runs", "0"}, exitUsage, "--runs"},
		{[]string{"bench", "step", "--base-dtype", "fp8"}, exitUsage, "bf16"},
		{[]string{"testnet", "run", "--base-dtype", "fp8"}, exitUsage, "bf16"},
		{[]string{"bench", "gemm", "--kernel", "abacus"}, exitUsage, "portable"},
		{[]string{"bench", "step", "--config", "C"}, exitFailure, "gpt2"},
		{[]string{"bench", "codec", "--runs", "1", "--json", t.TempDir()}, exitFailure, "write"},
	} {
		if _, errOut, code := mlecs(c.args...); code != c.code || !strings.Contains(errOut, c.says) {
			t.Errorf("%q: exit code %d, %s; want %d and %q", c.args, code, errOut, c.code, c.says)
		}
	}
}
