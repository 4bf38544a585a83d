package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/bench"
	"github.com/mlecs/mlecs/learn/kernel"
)

type benchOptions struct {
	config  string
	codec   string
	runs    int
	threads int
	kernel  string
	json    string
	dtype   dtypeFlag
	profile bool
	cpu     bool
}

// benchmark is one measurement: what it found, and how to print that.
type benchmark struct {
	use, short string
	runs       int
	config     string // the model that is measured if none is given
	about      string // what --config says; empty: it takes no model
	codec      bool   // it takes a codec
	measure    func(ctx context.Context, o *benchOptions) (result any, print func(p *page), err error)
}

func newBenchCommand() *cobra.Command {
	benchmarks := []benchmark{
		{"gemm", "Measure matrix products with packed weights", 200, "", "", false, benchGemm},
		{"step", "Measure training steps", 30, "A", "model", false, benchStep},
		{"generate", "Measure greedy decoding", 10, "A", "model", false, benchGenerate},
		{"aggregate", "Measure the averaging of deltas", 5, "", "", true, benchAggregate},
		{"codec", "Measure what codecs make of a delta", 20, "", "count the bytes of an edge's round on a model", false, benchCodec},
	}
	var all []*cobra.Command
	for _, b := range benchmarks {
		all = append(all, newBenchmarkCommand(b))
	}
	return newGroupCommand("bench", "Measure how fast this machine learns", all...)
}

func newBenchmarkCommand(b benchmark) *cobra.Command {
	o := &benchOptions{}
	example := "  mlecs bench " + b.use + "\n  mlecs bench " + b.use + " --threads 1 --json " + b.use + ".json"
	if b.about != "" {
		example += "\n  mlecs bench " + b.use + " --config B\n  mlecs bench " + b.use + " --config ./my-model"
	}
	if b.codec {
		example += "\n  mlecs bench " + b.use + " --codec int8"
	}
	cmd := &cobra.Command{
		Use: b.use, Short: b.short, Args: noArgs,
		Long:    b.short + ". Inputs are made up; nothing of a node is read or changed. Measure on a machine that does nothing else.",
		Example: example,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runBenchmark(cmd, b, o) },
	}
	f := cmd.Flags()
	if b.about != "" {
		f.StringVar(&o.config, "config", b.config, b.about+": "+bench.Named+", or a folder as HuggingFace publishes models")
	}
	if b.use == "step" {
		f.BoolVar(&o.profile, "profile", false, "also time the parts of a step, and compare with what they need at least (best with --threads 1)")
	}
	if b.config != "" {
		dtypeVar(f, &o.dtype, "with what digits the frozen base is stored")
	}
	if b.codec {
		f.StringVar(&o.codec, "codec", adapter.CodecSafetensors, "codec of the deltas: safetensors, which is float32, bf16, int8, int4, topk[:FRACTION] or lowrank[:FRACTION]")
	}
	f.IntVar(&o.runs, "runs", b.runs, "repetitions that count")
	f.IntVar(&o.threads, "threads", runtime.GOMAXPROCS(0), "threads to compute with")
	f.StringVar(&o.kernel, "kernel", "", "arithmetic of the processor to use: "+strings.Join(kernel.Kernels(), ", ")+" (default: the first)")
	f.BoolVar(&o.cpu, "processor-time", false, "time what the threads use of the processors, summed, in place of the clock: for busy machines and --threads 1")
	f.StringVar(&o.json, "json", "", "write the result as JSON to this file; - is the standard output")
	return cmd
}

func runBenchmark(cmd *cobra.Command, b benchmark, o *benchOptions) error {
	if o.runs < 1 || o.threads < 1 {
		return usageError{fmt.Errorf("--runs %d --threads %d: both must be at least 1", o.runs, o.threads)}
	}
	if o.kernel != "" {
		used := kernel.Active()
		if err := kernel.Use(o.kernel); err != nil {
			return usageError{err}
		}
		defer kernel.Use(used)
	}
	noteShortfall(cmd, o.dtype.DType)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(o.threads))
	ctx := cmd.Context()
	if o.cpu {
		ctx = bench.WithProcessorTime(ctx)
	}
	result, print, err := b.measure(ctx, o)
	if err != nil {
		return fmt.Errorf("measure %s: %w", b.use, err)
	}
	switch o.json {
	case "":
		print(&page{w: cmd.OutOrStdout()})
		return nil
	case "-":
		return printJSON(cmd.OutOrStdout(), result)
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.json, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the measurement: %w", err)
	}
	print(&page{w: cmd.OutOrStdout()})
	return nil
}

func timing(t bench.Timing) string {
	return fmt.Sprintf("%.3g ms (%.3g to %.3g)", t.Median, t.P10, t.P90)
}

// showMachine prints fields, and what they were measured on.
func showMachine(p *page, m bench.Machine, fields ...string) {
	memory := ""
	if m.PeakRSS > 0 {
		memory = bytesText(m.PeakRSS)
	}
	p.fields(append(fields, "threads", fmt.Sprint(m.Threads), "arithmetic", m.Kernel, "peak memory", memory)...)
}

func benchStep(ctx context.Context, o *benchOptions) (any, func(*page), error) {
	w, err := bench.Load(o.config)
	if err != nil {
		return nil, nil, err
	}
	s, err := bench.MeasureStep(ctx, w, bench.StepOptions{Steps: o.runs, DType: o.dtype.DType, Profile: o.profile})
	return s, func(p *page) {
		fields := []string{"model", s.Config, "parameters", countText(w.Base.Params()), "training step", timing(s.Timing)}
		if b := s.Base; b != nil {
			fields = append(fields, "base as "+b.DType, fmt.Sprintf("%s at rest, %.2f bytes a parameter", bytesText(b.Bytes), float64(b.Bytes)/float64(b.Params)),
				"against fp32", fmt.Sprintf("%.2f of the time (%s)", s.Median/b.Float32.Median, timing(b.Float32)),
				"loss", fmt.Sprintf("%.5f; with fp32 %.5f, difference %+.5f", b.Loss, b.Float32Loss, b.Loss-b.Float32Loss))
		} else if s.PeakRSS > 0 {
			fields = append(fields, "memory", fmt.Sprintf("%.2f of the weights'", float64(s.PeakRSS)/float64(s.Weights)))
		}
		showMachine(p, s.Machine, fields...)
		if s.Profile != nil {
			showProfile(p, s.Profile)
		}
	}, err
}

// showProfile prints what the parts of a step take beside what they need.
func showProfile(p *page, profile *bench.Profile) {
	var rows []table.Row
	total := 0.0
	for _, part := range profile.Parts {
		total += part.Time
	}
	for _, part := range profile.Parts {
		roofline, share := "", ""
		if part.Bound != "" {
			roofline, share = fmt.Sprintf("%.2f ms, %s", part.Roofline, part.Bound), fmt.Sprintf("%.0f %%", 100*part.Roofline/part.Time)
		}
		rows = append(rows, table.Row{part.Name, part.Calls, fmt.Sprintf("%.2f", part.Time), fmt.Sprintf("%.0f %%", 100*part.Time/total), fmt.Sprintf("%.0f", part.GFLOPS), roofline, share})
	}
	p.list(table.Row{"part", "calls", "ms", "of the step", "GFLOP/s", "roofline", "reached"}, rows, []int{2, 3, 4, 5, 7}, "")
	p.fields("peak arithmetic", fmt.Sprintf("%.0f GFLOP/s", profile.GFLOPS), "memory", bytesText(int64(profile.Memory))+"/s", "cache", bytesText(int64(profile.Cache))+"/s")
}

func benchGenerate(ctx context.Context, o *benchOptions) (any, func(*page), error) {
	w, err := bench.Load(o.config)
	if err != nil {
		return nil, nil, err
	}
	w.Base = w.Base.Stored(o.dtype.DType)
	g, err := bench.MeasureGenerate(ctx, w, o.runs)
	return g, func(p *page) {
		showMachine(p, g.Machine, "model", g.Config, fmt.Sprintf("%d tokens of %d rows", g.Tokens, g.Rows), timing(g.Timing),
			"tokens a second", fmt.Sprintf("%.0f", g.PerSecond))
	}, err
}

func benchGemm(ctx context.Context, o *benchOptions) (any, func(*page), error) {
	g, err := bench.MeasureGemm(ctx, o.runs)
	return g, func(p *page) {
		var rows []table.Row
		for _, s := range g.Sizes {
			rows = append(rows, table.Row{fmt.Sprintf("%d x %d x %d", s.M, s.N, s.K), timing(s.Timing), fmt.Sprintf("%.0f", s.GFLOPS)})
		}
		p.list(table.Row{"product", "time", "GFLOP/s"}, rows, []int{3}, "")
		showMachine(p, g.Machine)
	}, err
}

func benchAggregate(ctx context.Context, o *benchOptions) (any, func(*page), error) {
	a, err := bench.MeasureAggregate(ctx, o.codec, o.runs)
	return a, func(p *page) {
		showMachine(p, a.Machine, "deltas", fmt.Sprintf("%d of together %s", a.Deltas, bytesText(a.Bytes)), "averaged in", timing(a.Timing),
			"values a second", countText(int64(float64(a.Values)/a.Median*1e3)), "speed", bytesText(int64(a.PerSecond))+"/s", "of a plain read", fmt.Sprintf("%.2f", a.PerSecond/a.Read))
	}, err
}

func benchCodec(ctx context.Context, o *benchOptions) (any, func(*page), error) {
	if o.config != "" {
		w, err := bench.Load(o.config)
		if err != nil {
			return nil, nil, err
		}
		x, err := measureExchange(ctx, w)
		return x, func(p *page) { x.print(p) }, err
	}
	c, err := bench.MeasureCodec(ctx, o.runs)
	return c, func(p *page) {
		var rows []table.Row
		for _, cost := range c.Codecs {
			rows = append(rows, table.Row{cost.Codec, bytesText(int64(cost.Bytes)), timing(cost.Encode), timing(cost.Decode)})
		}
		p.list(table.Row{"codec", "size", "encode", "decode"}, rows, []int{2}, "")
		showMachine(p, c.Machine, "values", countText(int64(c.Params)))
	}, err
}
