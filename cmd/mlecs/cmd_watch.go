package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newWatchCommand() *cobra.Command {
	f := &homeFlags{}
	var asJSON bool
	cmd := &cobra.Command{
		Use: "watch", Short: "Follow what happens at a running node", Args: noArgs,
		Long: `Shows rounds, deltas, peers that come and go, what the learner does and errors, as they happen, beginning with what the node
remembers. It goes on until it is interrupted or the node stops.`,
		Example: "  mlecs watch --node edge-1\n  mlecs watch --json | jq 'select(.kind == \"error\")'",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runWatch(cmd, f, asJSON) },
	}
	f.registerAsking(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print events as JSON, one a line")
	return cmd
}

func runWatch(cmd *cobra.Command, f *homeFlags, asJSON bool) error {
	client, err := f.dial(cmd.Context())
	if err != nil {
		return err
	}
	defer client.Close()
	out := cmd.OutOrStdout()
	err = client.Watch(cmd.Context(), 0, func(e api.Event) error {
		if asJSON {
			return json.NewEncoder(out).Encode(e)
		}
		_, err := fmt.Fprintln(out, eventText(e))
		return err
	})
	if cmd.Context().Err() != nil {
		return nil // to interrupt is how to end it
	}
	return err
}

// eventText is an event in one line.
func eventText(e api.Event) string {
	what := ""
	switch e.Kind {
	case api.EventRound:
		what = fmt.Sprintf("%d closed by %s, %s  %s", e.Round, who(e), bytesText(e.Bytes), short(e.CID))
	case api.EventDelta:
		what = fmt.Sprintf("of round %d by %s, %s  %s", e.Round, who(e), bytesText(e.Bytes), short(e.CID))
	case api.EventPeer:
		what = who(e) + " " + e.Text
	case api.EventPhase, api.EventStep:
		what = e.Text
		if e.Total > 0 {
			what += fmt.Sprintf(", step %d of %d", e.Done, e.Total)
		}
		if e.Loss != 0 {
			what += fmt.Sprintf(", loss %.3f", e.Loss)
		}
	default:
		what = strings.ReplaceAll(e.Text, "\n", " ")
	}
	return fmt.Sprintf("%s  %-5s  %s", time.UnixMilli(e.Time).Format("15:04:05"), e.Kind, what)
}

// who is the name of an event's peer, or its id.
func who(e api.Event) string {
	if e.Name != "" {
		return e.Name
	}
	return short(e.Peer)
}
