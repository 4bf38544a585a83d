package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/testnet"
)

// completionPatience bounds what a press of the tab key may take.
const completionPatience = time.Second

// completer is a function that completes words for the shell.
type completer = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective)

// completeWords gives a command and its children what their words can be: --node the testnet's nodes, --role the roles, and arguments that
// are called CID the records that the chosen node knows.
func completeWords(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		completeWords(child)
	}
	for name, f := range map[string]completer{
		"node":  completeNodes,
		"role":  fixed("edge", "super"),
		"split": fixed("train", "validation", "test"),
		"delta": completeDeltaFlag,
	} {
		if cmd.Flags().Lookup(name) != nil {
			cmd.RegisterFlagCompletionFunc(name, f) // fails only if there is one already
		}
	}
	_, arguments, _ := strings.Cut(cmd.Use, " ")
	if cmd.ValidArgsFunction == nil && strings.Contains(arguments, "CID") {
		cmd.ValidArgsFunction = completeCIDs
	}
	if cmd.ValidArgsFunction == nil && strings.Contains(arguments, "PEER") {
		cmd.ValidArgsFunction = completePeers
	}
	if cmd.ValidArgsFunction == nil && strings.Contains(arguments, "NAME") && cmd.Flags().Lookup("out") != nil {
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeNodes(cmd, args, begun)
		}
	}
}

func fixed(words ...string) completer {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	}
}

// inTurn completes the first argument by the first words, the second by the second, and so on.
func inTurn(words ...[]string) completer {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= len(words) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return words[len(args)], cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNodes gives the nodes of the testnet.
func completeNodes(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	f, err := testnet.OpenFolder(testnetFolder(given(cmd, "out")))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, m := range f.Members {
		words = append(words, cobra.CompletionWithDesc(m.Name, m.Role))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completePeers gives the peer ids and names of the members that the running node knows.
func completePeers(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, none
	}
	f := homeFlags{home: given(cmd, "home"), node: given(cmd, "node"), out: given(cmd, "out")}
	ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
	defer cancel()
	client, err := f.dial(ctx)
	if err != nil {
		return nil, none
	}
	defer client.Close()
	members, err := client.Members(ctx)
	if err != nil {
		return nil, none
	}
	return memberWords(members, begun), none
}

// memberWords gives what begins as begun: names, and the ids of members.
func memberWords(members []api.Member, begun string) []cobra.Completion {
	var words []cobra.Completion
	for _, m := range members {
		if m.Name != "" && strings.HasPrefix(m.Name, begun) {
			words = append(words, cobra.CompletionWithDesc(m.Name, m.Role+", "+m.State))
		}
		if begun != "" && strings.HasPrefix(m.PeerID, begun) {
			words = append(words, cobra.CompletionWithDesc(m.PeerID, strings.TrimSpace(m.Name+" "+m.State)))
		}
	}
	return words
}

// completeCIDs gives the CIDs of the running node's newest deltas, and of aggregates where a command is not about deltas.
func completeCIDs(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if len(args) > 0 {
		return nil, none
	}
	return recentCIDs(cmd, begun, cmd.HasParent() && cmd.Parent().Name() == "delta"), none | cobra.ShellCompDirectiveKeepOrder
}

// completeDeltaFlag gives the CIDs of deltas.
func completeDeltaFlag(cmd *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return recentCIDs(cmd, begun, true), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// recentCIDs asks the running node. Errors give nothing.
func recentCIDs(cmd *cobra.Command, begun string, deltasOnly bool) []cobra.Completion {
	f := homeFlags{
		home: given(cmd, "home"), node: given(cmd, "node"), out: given(cmd, "out"),
		remote: api.Remote{Address: given(cmd, "address"), TokenFile: given(cmd, "token-file"), CAFile: given(cmd, "ca-file")},
	}
	ctx, cancel := context.WithTimeout(context.Background(), completionPatience)
	defer cancel()
	client, err := f.dial(ctx)
	if err != nil {
		return nil
	}
	defer client.Close()
	const recent = 20
	rounds, err := client.Rounds(ctx, api.Window{Last: recent})
	if err != nil || len(rounds) == 0 {
		return nil
	}
	deltas, err := client.Deltas(ctx, api.Window{From: rounds[0].Round})
	if err != nil {
		return nil
	}
	if deltasOnly {
		rounds = nil
	}
	return cidWords(rounds, deltas, begun)
}

// cidWords gives what begins as begun, the newest first.
func cidWords(rounds []api.Round, deltas []api.Delta, begun string) []cobra.Completion {
	var words []cobra.Completion
	add := func(cid, about string, args ...any) {
		if strings.HasPrefix(cid, begun) {
			words = append(words, cobra.CompletionWithDesc(cid, fmt.Sprintf(about, args...)))
		}
	}
	for _, r := range slices.Backward(rounds) {
		add(r.Aggregate, "aggregate of round %d", r.Round)
	}
	for _, d := range slices.Backward(deltas) {
		add(d.CID, "delta of round %d by %s", d.Round, d.AuthorName)
	}
	return words
}

// given is the value of a flag that a command may lack.
func given(cmd *cobra.Command, name string) string {
	if flag := cmd.Flags().Lookup(name); flag != nil {
		return flag.Value.String()
	}
	return ""
}
