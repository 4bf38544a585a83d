package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/storage/record"
)

type federationOptions struct {
	homeFlags
	name, data      string
	edgeBases       []string
	superBase       string
	adapter         string
	families        int
	share           []string
	rounds, minimum uint64
	quorum          float64
	deadline        time.Duration
	method          method.Config
}

func newFederationCommand() *cobra.Command {
	return newGroupCommand("federation", "Found a federation, pause it, change its policy",
		newFederationCreateCommand(), newFederationPauseCommand(), newFederationResumeCommand(), newFederationPolicyCommand())
}

func newFederationCreateCommand() *cobra.Command {
	o := &federationOptions{method: method.Default()}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Found a federation: public data, base models, method and round policy, signed by a new founder key",
		Long: `Founds a federation and makes this node its first super-peer. The training rows of --data become the public data set: every
member gets the rows, super-peers alone get their targets. The founder key stays in this home (founder.key): whoever holds it
admits members.

Edges may be of several families, each with a base model of its own: give --edge-base once for every family, or --families 2 for a
GPT-2 and a Llama that are pretrained here. An edge chooses its family when it joins (mlecs join --family N).`,
		Example: `  mlecs federation create --name homes --data ./public
  mlecs federation create --name wards --data ./public --edge-base small.safetensors --super-base large.safetensors --rounds 50
  mlecs federation create --name mixed --data ./public --families 2
  mlecs federation create --name own --data ./public --structure '{"model":{"architecture":"gpt2","layers":3,"dim":96,"heads":6},"rank":16}'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runFederationCreate(cmd, o) },
	}
	o.homeFlags.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "federation", "name of the federation")
	f.StringVar(&o.data, "data", "", "data set folder whose training rows become public (required)")
	f.StringArrayVar(&o.edgeBases, "edge-base", nil, "base model of the edges, a `file` from mlecs model train or model import; again for every further family (default: pretrained on the public targets)")
	f.IntVar(&o.families, "families", 0, "families of edges, 1 or 2: the second has other widths and rank (default: as many as edge bases)")
	f.Var(structures{&o.families, &o.method.Families}, "structure", structureUsage)
	f.StringVar(&o.superBase, "super-base", "", "base model of the super-peers (default: pretrained on the public targets)")
	f.StringVar(&o.adapter, "adapter", "", "folder of a PEFT LoRA adapter that the federation (its first family) begins with")
	f.StringSliceVar(&o.share, "share", method.DefaultShare(), "kinds of components that leave a node: lora, encoder, connector")
	f.Uint64Var(&o.rounds, "rounds", 0, "last round; 0 goes on for ever")
	f.Float64Var(&o.quorum, "quorum", 1, "part of the live edges whose deltas close a round, 0 to 1")
	f.Uint64Var(&o.minimum, "min", 1, "deltas that a round needs before its deadline")
	f.DurationVar(&o.deadline, "deadline", 10*time.Minute, "a round closes with what is in after this long")
	f.IntVar(&o.method.CCLSteps, "ccl-steps", o.method.CCLSteps, "steps a round of an edge on public rows")
	f.IntVar(&o.method.AMTSteps, "amt-steps", o.method.AMTSteps, "steps a round of an edge on private rows")
	f.IntVar(&o.method.CloudSteps, "cloud-steps", o.method.CloudSteps, "steps a round of a super-peer, per model")
	f.IntVar(&o.method.Batch, "batch", o.method.Batch, "rows a step")
	f.Float64Var(&o.method.LR, "lr", o.method.LR, "learning rate of AdamW")
	f.StringVar(&o.method.Codec, "codec", o.method.Codec, "codec of deltas: safetensors, bf16, int8, int4, topk[:FRACTION] or lowrank[:FRACTION]")
	f.StringVar(&o.method.AggregateCodec, "aggregate-codec", o.method.AggregateCodec, "codec of aggregates: safetensors, bf16 or int8")
	f.StringVar(&o.method.SupervisionCodec, "supervision-codec", o.method.SupervisionCodec, "codec of fused representations and soft targets: safetensors, bf16, int8 or int4")
	f.StringVar(&o.method.Contrast, "contrast", o.method.Contrast, "loss of CCL: similarity or gram")
	f.IntVar(&o.method.Spec.Width, "width", o.method.Spec.Width, "channels of the first family's encoders")
	f.IntVar(&o.method.Spec.Projection, "projection", o.method.Spec.Projection, "width of a modality's vector, in the first family")
	f.IntVar(&o.method.Spec.Fused, "fused", o.method.Spec.Fused, "width of the fused representation, in the first family")
	f.IntVar(&o.method.Spec.Rank, "rank", o.method.Spec.Rank, "LoRA rank")
	f.Float64Var(&o.method.Spec.Alpha, "alpha", o.method.Spec.Alpha, "LoRA alpha")
	f.StringVar(&o.method.PublicLabels, "public-labels", o.method.PublicLabels, "who gets the targets of the public rows: cloud (super-peers alone) or edges (everybody)")
	f.StringVar(&o.method.Rule, "rule", o.method.Rule, ruleUsage)
	f.Float64Var(&o.method.Stale, "stale", o.method.Stale, "what a late delta counts for each round that it is late, 0 to 1")
	f.Float64Var(&o.method.DPClip, "dp-clip", 0, "clip what leaves an edge in a round to this Euclidean norm; 0: do not")
	f.Float64Var(&o.method.DPNoise, "dp-noise", 0, "add normal noise of this many times --dp-clip, for differential privacy of an edge's rows; 0: none")
	f.Uint64Var(&o.method.Seed, "seed", o.method.Seed, "seed of models and steps")
	return cmd
}

func runFederationCreate(cmd *cobra.Command, o *federationOptions) error {
	if o.data == "" {
		return usageError{fmt.Errorf("give the folder of the public data set with --data DIR")}
	}
	structures := len(o.method.Families)
	switch {
	case structures > 0 && o.families != 1+structures:
		return usageError{fmt.Errorf("--families %d, but %d structures beyond the first", o.families, structures)}
	case structures > 0, o.families == 0, o.families == 1:
	case o.families == 2:
		o.method.Families = []method.Family{method.SecondFamily()}
	default:
		return usageError{fmt.Errorf("--families %d: use 1 or 2, or give more with --structure or --edge-base", o.families)}
	}
	if o.families > 0 && len(o.edgeBases) > o.families {
		return usageError{fmt.Errorf("--families %d, but %d edge bases", o.families, len(o.edgeBases))}
	}
	h, err := o.openOrInit()
	if err != nil {
		return err
	}
	p := newProgress(cmd.ErrOrStderr())
	id, err := h.CreateFederation(cmd.Context(), node.FederationSpec{
		Name: o.name, Data: o.data, EdgeBases: o.edgeBases, SuperBase: o.superBase, Adapter: o.adapter, Method: o.method, Share: o.share,
		Policy:   record.RoundPolicy{Rounds: o.rounds, Quorum: o.quorum, Min: o.minimum, Deadline: o.deadline.Milliseconds()},
		Progress: p.update,
	})
	p.close()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Founded federation %q: %s\nNext: mlecs start, then mlecs invite for every other machine\n", o.name, id)
	return nil
}
