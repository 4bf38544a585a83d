package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node"
)

type joinOptions struct {
	homeFlags
	settings
}

func newJoinCommand() *cobra.Command {
	o := &joinOptions{}
	cmd := &cobra.Command{
		Use:   "join TOKEN",
		Short: "Become a member: prove the token, fetch genesis, public data and base model",
		Long: `Joins the federation of a token that a member printed with "mlecs invite". Everything is fetched from members and verified by its CID.
A join that was interrupted goes on when the same command is given again. Makes the home first if there is none.

With - in place of TOKEN it is read from standard input, where the list of processes does not show it.`,
		Example: `  mlecs join mlecs1... --data ~/kitchen-rows --name kitchen
  mlecs start`,
		Args: oneArg("token"),
		RunE: func(cmd *cobra.Command, args []string) error { return runJoin(cmd, o, args[0]) },
	}
	o.homeFlags.register(cmd)
	o.settings.register(cmd)
	return cmd
}

func runJoin(cmd *cobra.Command, o *joinOptions, token string) error {
	if token == "-" {
		var err error
		if token, err = readToken(cmd.InOrStdin()); err != nil {
			return err
		}
	}
	h, err := o.openOrInit()
	if err != nil {
		return err
	}
	if err := configure(cmd, h, &o.settings); err != nil {
		return err
	}
	p := newProgress(cmd.ErrOrStderr())
	err = h.Join(cmd.Context(), token, p.update)
	p.close()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "Joined. Next: mlecs start --home %s\n", h.Dir)
	return nil
}

// maxToken bounds what is read from standard input.
const maxToken = 64 << 10

func readToken(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxToken)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the token: %w", err)
	}
	if line = strings.TrimSpace(line); line == "" {
		return "", usageError{errors.New("there is no token on standard input")}
	}
	return line, nil
}

// configure writes the settings that were given as flags to the home's config.
func configure(cmd *cobra.Command, h *node.Home, s *settings) error {
	before, err := h.Config()
	if err != nil {
		return err
	}
	after := before
	if err := s.apply(cmd, &after); err != nil {
		return err
	}
	old, err := before.YAML()
	if err != nil {
		return err
	}
	fresh, err := after.YAML()
	if err != nil || string(old) == string(fresh) {
		return err
	}
	return h.WriteConfig(after)
}
