package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newFederationPolicyCommand() *cobra.Command {
	i := &inspection[*api.Status]{
		ask: func(ctx context.Context, s api.Source) (*api.Status, error) { return s.Status(ctx) },
		show: func(p *page, s *api.Status) {
			if s.Policy == nil {
				p.fields("policy", "this node is in no federation")
				return
			}
			showPolicy(p, s.Policy)
		},
	}
	cmd := i.command(&cobra.Command{
		Use: "policy", Short: "Show the round policy in force, or change it",
		Long: `Shows how the rounds of the federation go: what its genesis says, or the founder's last change. With --json it is the key policy of
mlecs status. The founder changes it with mlecs federation policy set.`,
		Example: "  mlecs federation policy\n  mlecs federation policy set --deadline 5m --quorum 0.8",
	})
	cmd.AddCommand(newFederationPolicySetCommand())
	return cmd
}

func showPolicy(p *page, policy *api.Policy) {
	state := "runs"
	if policy.Paused {
		state = "paused"
	}
	rounds := "endless"
	if policy.Rounds > 0 {
		rounds = fmt.Sprintf("until round %d", policy.Rounds)
	}
	keep := "as each node's config says"
	if policy.KeepRounds > 0 {
		keep = fmt.Sprintf("%d rounds", policy.KeepRounds)
	}
	since := "the genesis"
	if policy.Created > 0 {
		since = "the founder, " + ago(policy.Created)
	}
	p.fields(
		"state", state,
		"reason", policy.Reason,
		"rounds", rounds,
		"quorum", fmt.Sprintf("%g of the live edges, at least %d", policy.Quorum, policy.Min),
		"deadline", (time.Duration(policy.Deadline) * time.Millisecond).String(),
		"steps", fmt.Sprintf("%d on public and %d on private rows at edges, %d at super-peers", policy.CCLSteps, policy.AMTSteps, policy.CloudSteps),
		"blobs kept", keep,
		"set by", since,
		"record", policy.Record,
	)
}

// policyCommand makes a command that changes the policy as change says.
func policyCommand(cmd *cobra.Command, change func(*cobra.Command, *api.PolicyChange) error) *cobra.Command {
	var f homeFlags
	var reason string
	var asJSON bool
	cmd.Args = noArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c := api.PolicyChange{Reason: &reason}
		if err := change(cmd, &c); err != nil {
			return err
		}
		h, err := f.open()
		if err != nil {
			return err
		}
		p, err := h.ChangePolicy(cmd.Context(), c)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(cmd.OutOrStdout(), p)
		}
		showPolicy(&page{w: cmd.OutOrStdout()}, p)
		return nil
	}
	f.registerInspecting(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; all members can read it")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newFederationPauseCommand() *cobra.Command {
	return policyCommand(&cobra.Command{
		Use: "pause", Short: "Pause all rounds of the federation, everywhere",
		Long: `Pauses the federation by a record that the founder key signs and that spreads to all members: no node begins a round, and none closes
one, until mlecs federation resume. What a node trains at that moment it finishes. The home must hold the founder key; if the node does not
run, members hear of it once it does.`,
		Example: `  mlecs federation pause --reason "moving the servers"`,
	}, func(_ *cobra.Command, c *api.PolicyChange) error { c.Paused = new(true); return nil })
}

func newFederationResumeCommand() *cobra.Command {
	return policyCommand(&cobra.Command{
		Use: "resume", Short: "Go on after mlecs federation pause",
		Long:    "Ends a pause of the federation. The rounds go on where they were. The home must hold the founder key.",
		Example: "  mlecs federation resume",
	}, func(_ *cobra.Command, c *api.PolicyChange) error { c.Paused = new(false); return nil })
}

func newFederationPolicySetCommand() *cobra.Command {
	var rounds, minimum, ccl, amt, cloud, keep uint64
	var quorum float64
	var deadline time.Duration
	cmd := policyCommand(&cobra.Command{
		Use: "set", Short: "Change the round policy of the federation, everywhere",
		Long: `Changes the round policy by a record that the founder key signs and that spreads to all members. What no flag names stays as it is.
A node holds to it from its next round on. The home must hold the founder key; if the node does not run, members hear of it once it does.

--keep-rounds is for nodes that keep blobs for some rounds only; one with keep_rounds: 0 in its config.yaml keeps all.`,
		Example: "  mlecs federation policy set --deadline 5m --quorum 0.8 --min 2\n  mlecs federation policy set --rounds 100 --amt-steps 120 --reason \"longer rounds\"",
	}, func(cmd *cobra.Command, c *api.PolicyChange) error {
		ms := deadline.Milliseconds()
		any := false
		given := func(name string) bool {
			any = any || cmd.Flags().Changed(name)
			return cmd.Flags().Changed(name)
		}
		for name, to := range map[string]struct {
			field **uint64
			value *uint64
		}{
			"rounds": {&c.Rounds, &rounds}, "min": {&c.Min, &minimum}, "ccl-steps": {&c.CCLSteps, &ccl}, "amt-steps": {&c.AMTSteps, &amt},
			"cloud-steps": {&c.CloudSteps, &cloud}, "keep-rounds": {&c.KeepRounds, &keep},
		} {
			if given(name) {
				*to.field = to.value
			}
		}
		if given("quorum") {
			c.Quorum = &quorum
		}
		if given("deadline") {
			if ms <= 0 {
				return usageError{fmt.Errorf("--deadline %s: a round needs at least a millisecond, and mostly minutes, such as 10m", deadline)}
			}
			c.Deadline = &ms
		}
		if !any {
			return usageError{fmt.Errorf("nothing to change: give at least one of --deadline, --quorum, --min, --rounds, --ccl-steps, --amt-steps, --cloud-steps, --keep-rounds")}
		}
		return nil
	})
	f := cmd.Flags()
	f.Uint64Var(&rounds, "rounds", 0, "last round; 0 goes on for ever")
	f.Float64Var(&quorum, "quorum", 1, "part of the live edges whose deltas close a round, 0 to 1")
	f.Uint64Var(&minimum, "min", 1, "deltas that a round needs before its deadline")
	f.DurationVar(&deadline, "deadline", 10*time.Minute, "a round closes with what is in after about this long; nodes fit it to what the edges take")
	f.Uint64Var(&ccl, "ccl-steps", 0, "steps a round of an edge on public rows")
	f.Uint64Var(&amt, "amt-steps", 0, "steps a round of an edge on private rows")
	f.Uint64Var(&cloud, "cloud-steps", 0, "steps a round of a super-peer, per model")
	f.Uint64Var(&keep, "keep-rounds", 0, "for how many rounds nodes keep blobs; 0: as each node's config says")
	return cmd
}
