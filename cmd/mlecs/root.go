package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
)

// Exit codes, as the help of every command promises.
const (
	exitOK       = 0
	exitFailure  = 1
	exitUsage    = 2
	exitNoNode   = 3 // none answers
	exitNotFound = 4 // a name or a beginning of a CID that fits nothing, or several
)

const exitCodes = "0 success, 1 failure, 2 wrong usage, 3 no node answers, 4 nothing, or more than one thing, has the name that was given"

// run is the whole program.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	var usage usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(errOut, "mlecs: %v\n       see `%s --help`\n", err, cmd.CommandPath())
		return exitUsage
	}
	printError(errOut, err)
	switch {
	case errors.Is(err, api.ErrNotRunning):
		return exitNoNode
	case errors.Is(err, api.ErrNotFound), errors.Is(err, api.ErrAmbiguous):
		return exitNotFound
	}
	return exitFailure
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "mlecs",
		Short: "Learn together over many devices without handing over their data",
		Long: `mlecs runs a gossip learning node: it tunes a small multimodal model on its own rows, exchanges
content-addressed deltas with the other members of its federation, and learns from what they learned (ML-ECS).

Start here:
  mlecs testnet run        a whole federation on this machine, with a report
  mlecs federation create  a federation of your own; invite and join bring in other machines

Exit codes: ` + exitCodes + ".",
		Version:       node.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("mlecs {{.Version}}\n")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{flagError(err)} })
	root.AddCommand(
		newTestnetCommand(), newInitCommand(), newFederationCommand(), newInviteCommand(), newJoinCommand(), newStartCommand(),
		newDashboardCommand(), newTopCommand(), newWatchCommand(), newLogCommand(), newMetricsCommand(),
		newStatusCommand(), newPeersCommand(), newRoundsCommand(), newDeltasCommand(), newDeltaCommand(), newVerifyCommand(), newModelsCommand(),
		newModelCommand(), newExperimentCommand(), newEvalCommand(), newGenerateCommand(), newAdapterCommand(), newDataCommand(), newBenchCommand(), newConfigCommand(), newVersionCommand(),
		newMembersCommand(), newRevokeCommand(), newRenewCommand(), newIdentityCommand(),
		newDoctorCommand(), newGCCommand(), newFsckCommand(), newBackupCommand(), newRestoreCommand(),
		newReferenceCommand(),
	)
	completeWords(root)
	root.InitDefaultCompletionCmd()
	for _, child := range root.Commands() {
		if child.Name() == "completion" {
			child.Args = noArgs // cobra would show its help for a shell that it does not know
			child.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	return root
}

// newGroupCommand only holds other commands.
func newGroupCommand(use, short string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(children...)
	return cmd
}

// noArgs refuses arguments, which for a command with children means an unknown child.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usageError{suggest(cmd, args[0])}
	}
	return usageError{fmt.Errorf("%s takes no argument, got %q", cmd.CommandPath(), args[0])}
}

// suggest says that a command does not exist, and which one may be meant.
func suggest(cmd *cobra.Command, name string) error {
	cmd.SuggestionsMinimumDistance = min(2, len(name)/2) // a short word is near to everything
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("%s has no command %q: did you mean %q?", cmd.CommandPath(), name, near[0])
	}
	return fmt.Errorf("%s has no command %q", cmd.CommandPath(), name)
}

// oneArg wants exactly one argument, called what.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes one %s, got %d arguments", cmd.CommandPath(), what, len(args))}
		}
		return nil
	}
}
