package main

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newDashboardCommand() *cobra.Command {
	f := &homeFlags{}
	var show, asJSON bool
	cmd := &cobra.Command{
		Use: "dashboard", Short: "Get a link to a running node's page", Args: noArgs,
		Long: `Prints a link that logs a browser on this machine in to the node's page, once, within five minutes. The node serves the page itself, on
a free port of 127.0.0.1 unless "listen" under "api" in config.yaml says where.`,
		Example: "  mlecs dashboard --open\n  mlecs dashboard --node edge-1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := f.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			login, err := client.Login(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), login)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n", login.URL)
			if show {
				return openBrowser(cmd.Context(), login.URL)
			}
			return nil
		},
	}
	f.registerInspecting(cmd)
	cmd.Flags().BoolVar(&show, "open", false, "also open it in the browser")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// openBrowser shows a URL by the desktop's own opener.
func openBrowser(ctx context.Context, url string) error {
	name, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		name = "open"
	case "windows":
		name, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := exec.CommandContext(ctx, name, args...).Run(); err != nil {
		return api.Advise(fmt.Errorf("open the browser with %s: %w", name, err), "open the link above yourself")
	}
	return nil
}
