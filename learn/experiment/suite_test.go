package experiment_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/learn/experiment"
)

// generated is a small data set, made once.
var generated = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "experiment")
	if err != nil {
		return "", err
	}
	dir += "/rows"
	return dir, data.Generate(dir, data.GenerateOptions{Homes: 3, RowsPerHome: 24, Seed: 3})
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := generated(); err == nil {
		os.RemoveAll(filepath.Dir(dir))
	}
	os.Exit(code)
}

// small is an experiment that takes a second.
func small(t *testing.T) experiment.Options {
	t.Helper()
	dir, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	return experiment.Options{
		Setting: experiment.Setting{
			Nodes: 3, RowsPerNode: 6, PublicRows: 8, ModalityRate: 0.7, Families: 1, PublicLabels: "cloud", Rounds: 2, Steps: 4,
		},
		Data: dir, Methods: []string{"standalone", "mlecs"}, Seeds: []uint64{5}, Out: t.TempDir(),
		Tuned: experiment.Tuned{"standalone": []byte(`{"batch": 2}`), "mlecs": []byte(`{"batch": 2}`)},
	}
}

// heard is what a Progress was told of ended runs.
type heard struct {
	known, fresh []string // "method seed"
	ended        func()   // after each fresh run; may be nil
}

func (h *heard) Round(string, uint64, int, int) {}

func (h *heard) Done(r experiment.Run, done, total int, known bool) {
	name := fmt.Sprint(r.Method, " ", r.Seed)
	if known {
		h.known = append(h.known, name)
		return
	}
	h.fresh = append(h.fresh, name)
	if h.ended != nil {
		h.ended()
	}
}

func execute(t *testing.T, opt experiment.Options) (*experiment.Results, *heard) {
	t.Helper()
	h := &heard{}
	opt.Progress = h
	r, err := experiment.Execute(t.Context(), opt)
	if err != nil {
		t.Fatal(err)
	}
	return r, h
}

// scoresOf are results as JSON, without where they are and how long they took.
func scoresOf(t *testing.T, r *experiment.Results) string {
	t.Helper()
	c := *r
	c.Dataset.Path, c.Runs = "", slices.Clone(r.Runs)
	for i := range c.Runs {
		c.Runs[i].Seconds = 0
	}
	raw, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func runFiles(t *testing.T, out string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(out, "runs", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestScoresDependOnNothingElse: not on the folder, not on how many runs go on at a time, not on which others there are.
func TestScoresDependOnNothingElse(t *testing.T) {
	opt := small(t)
	opt.Rounds, opt.Steps, opt.Parallel = 3, 6, 1
	alone, _ := execute(t, opt)
	opt.Out, opt.Parallel = t.TempDir(), 2
	together, _ := execute(t, opt)
	if a, b := scoresOf(t, alone), scoresOf(t, together); a != b {
		t.Errorf("one at a time:\n%s\ntwo at a time:\n%s", a, b)
	}
	opt.Out, opt.Methods = t.TempDir(), []string{"mlecs"}
	only, _ := execute(t, opt)
	run := slices.IndexFunc(alone.Runs, func(r experiment.Run) bool { return r.Method == "mlecs" })
	if a, b := fmt.Sprint(alone.Runs[run].PerNode), fmt.Sprint(only.Runs[0].PerNode); a != b {
		t.Errorf("beside another method:\n%s\nwithout:\n%s", a, b)
	}
}

// TestCancelledExecuteKeepsFinishedRuns: the next call goes on behind them.
func TestCancelledExecuteKeepsFinishedRuns(t *testing.T) {
	opt := small(t)
	opt.Parallel = 1
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &heard{ended: cancel}
	opt.Progress = h
	if _, err := experiment.Execute(ctx, opt); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if len(h.fresh) != 1 || len(runFiles(t, opt.Out)) != 1 {
		t.Fatalf("heard of %+v, and %d runs are kept", h, len(runFiles(t, opt.Out)))
	}
	if _, err := os.Stat(filepath.Join(opt.Out, "results.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("results of half an experiment: %v", err)
	}
	if _, next := execute(t, opt); fmt.Sprint(next.known) != fmt.Sprint(h.fresh) || len(next.fresh) != 1 {
		t.Errorf("after %v, heard of %+v", h.fresh, next)
	}
}

func TestExecuteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*experiment.Options)
		want   string
	}{
		"no method":         {func(o *experiment.Options) { o.Methods = nil }, "at least one method"},
		"no seed":           {func(o *experiment.Options) { o.Seeds = nil }, "one seed"},
		"an unknown method": {func(o *experiment.Options) { o.Methods = []string{"fedfoo"} }, `"fedfoo" is no method`},
		"a method twice":    {func(o *experiment.Options) { o.Methods = []string{"mlecs", "mlecs"} }, "listed twice"},
		"a seed twice":      {func(o *experiment.Options) { o.Seeds = []uint64{5, 6, 5} }, "seed 5 is listed twice"},
		"a bad setting":     {func(o *experiment.Options) { o.Families = 3 }, "families is 3"},
		"no data":           {func(o *experiment.Options) { o.Data += "-none" }, "opening data set"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := small(t)
			c.change(&opt)
			if _, err := experiment.Execute(t.Context(), opt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if len(runFiles(t, opt.Out)) > 0 {
				t.Error("something ran")
			}
		})
	}
	if _, _, err := experiment.Tune(t.Context(), small(t), 0); err == nil || !strings.Contains(err.Error(), "at least one") {
		t.Errorf("a search of no points: %v", err)
	}
}
