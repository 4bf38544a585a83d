package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mlecs/mlecs/node/api"
)

func newStatusCommand() *cobra.Command {
	i := &inspection[*api.Status]{
		ask:  func(ctx context.Context, s api.Source) (*api.Status, error) { return s.Status(ctx) },
		show: showStatus,
	}
	return i.command(&cobra.Command{Use: "status", Short: "Show what a node is and does", Example: "  mlecs status\n  mlecs status --node edge-1"})
}

func showStatus(p *page, s *api.Status) {
	state := "stopped"
	if s.Running {
		state = fmt.Sprintf("running for %s, pid %d", (time.Duration(s.UptimeSec) * time.Second).String(), s.PID)
	}
	round := fmt.Sprintf("%d", s.Round)
	if s.Rounds > 0 {
		round += fmt.Sprintf(" of %d", s.Rounds)
	}
	phase := s.Phase
	if s.Running && s.StepTotal > 0 {
		phase += fmt.Sprintf(", step %d of %d, loss %.3f", s.StepDone, s.StepTotal, s.Loss)
	}
	federation := "none: mlecs join TOKEN, or mlecs federation create"
	if s.Federation != "" {
		federation = s.FedName + " (" + s.Federation + ")"
	}
	base := s.Base
	if s.Families > 1 && s.Role == "edge" {
		base += fmt.Sprintf(" (family %d of %d)", s.Family, s.Families)
	}
	params := ""
	if s.ParamsTotal > 0 {
		params = fmt.Sprintf("%s, of which %s are trained", countText(s.ParamsTotal), countText(s.ParamsTrainable))
	}
	policy := ""
	if s.Policy != nil {
		policy = fmt.Sprintf("deadline %s, quorum %g, at least %d", time.Duration(s.Policy.Deadline)*time.Millisecond, s.Policy.Quorum, s.Policy.Min)
		if s.Policy.Paused {
			policy = strings.TrimSuffix("paused by the founder: "+s.Policy.Reason, ": ") + "\n" + policy
		}
	}
	if s.Cloudless {
		phase += "; no super-peer in reach: goes on with the other edges"
	}
	disk := bytesText(s.DiskBytes)
	if s.DiskQuota > 0 {
		disk += " of " + bytesText(s.DiskQuota)
	}
	disk += fmt.Sprintf(", %s records; %s free", countText(int64(s.Records)), bytesText(s.DiskFree))
	disputed := ""
	if s.Disputed > 0 {
		disputed = fmt.Sprintf("%d aggregates: see mlecs peers and mlecs rounds", s.Disputed)
	}
	privacy := ""
	if s.Privacy != nil {
		privacy = fmt.Sprintf("epsilon %.3g at delta %.0e, for all deltas so far: norm %g, noise %g times that", s.Privacy.Epsilon, s.Privacy.Delta, s.Privacy.Clip, s.Privacy.Noise)
	}
	p.fields(
		"node", s.Name,
		"state", state,
		"role", dash(s.Role),
		"peer id", s.PeerID,
		"home", s.Home,
		"federation", federation,
		"round", round,
		"policy", policy,
		"phase", phase,
		"error", s.Error,
		"domain", s.Domain,
		"modalities", strings.Join(s.Modalities, ", "),
		"base model", base,
		"parameters", params,
		"rows", fmt.Sprintf("%d private for training, %d for testing, %d public", s.TrainRows, s.TestRows, s.PublicRows),
		"privacy", privacy,
		"peers", fmt.Sprintf("%d connected", s.Peers),
		"traffic", fmt.Sprintf("%s sent, %s received", bytesText(s.BytesSent), bytesText(s.BytesReceived)),
		"refused", fmt.Sprintf("%d records, %d blobs, %d peers", s.RejectedRecords, s.RejectedBlobs, s.RefusedPeers),
		"disputed", disputed,
		"disk", disk,
		"addresses", strings.Join(s.Addrs, "\n"),
	)
}
