package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// Levels of findings.
const (
	FindingGood = "ok"
	FindingWarn = "warn"
	FindingBad  = "bad" // the node cannot take part
)

// Finding is what Doctor says of one part of a node.
type Finding struct {
	Part   string `json:"part"` // clock, disk, memory, arithmetic, membership, ports, reachability, NAT, peers, ...
	Level  string `json:"level"`
	Text   string `json:"text"`
	Advice string `json:"advice"` // what to do; empty if the finding is good
}

// Thresholds of Doctor.
const (
	maxSkew       = 2 * time.Minute     // a record from further ahead makes the clock suspicious
	soonEnds      = 30 * 24 * time.Hour // of a certificate
	clockRounds   = 8                   // newest ones whose authors' clocks are compared
	leastMemory   = 256 << 20           // bytes
	memoryPerBase = 3                   // times the base model: weights, packed once more, gradients, buffers
)

// Doctor examines the home, and the node on it if one runs. It changes nothing.
func (h *Home) Doctor(ctx context.Context) ([]Finding, error) {
	cfg, err := h.Config()
	if err != nil {
		return []Finding{{"config", FindingBad, err.Error(), "edit " + h.path(configFile)}}, nil
	}
	src, release, err := h.Source()
	if err != nil {
		return nil, err
	}
	defer release()
	status, err := src.Status(ctx)
	if err != nil {
		return nil, err
	}
	members, err := src.Members(ctx)
	if err != nil {
		return nil, err
	}
	rounds, err := src.Rounds(ctx, api.Window{Last: clockRounds})
	if err != nil {
		return nil, err
	}
	models, err := src.Models(ctx)
	if err != nil {
		return nil, err
	}
	findings := []Finding{examineClock(now(), clockSynchronised(), rounds)}
	free, err := storage.FreeBytes(h.Dir)
	if err != nil {
		return nil, err
	}
	findings = append(findings, examineDisk(h.Dir, free, status.DiskBytes, status.DiskQuota), examineMemory(availableMemory(), status.Role, status.Running, models), examineArithmetic(cfg))
	findings = append(findings, examineMembership(now(), status, members)...)
	findings = append(findings, examinePorts(cfg, status)...)
	findings = append(findings, examineReach(cfg, status), examineRouter(cfg, status), examinePeers(status, members))
	if status.Role == string(record.RoleEdge) {
		findings = append(findings, h.examineData(cfg))
	}
	if status.Error != "" {
		findings = append(findings, Finding{"learner", FindingWarn, status.Error, "see the node's log for what led to it"})
	}
	return findings, nil
}

// examineClock: records carry their authors' times, so a clock that is behind sees them come from the future. synchronised is nil if the system
// does not tell.
func examineClock(now time.Time, synchronised *bool, rounds []api.Round) Finding {
	var ahead time.Duration
	for _, r := range rounds {
		ahead = max(ahead, time.UnixMilli(r.Created).Sub(now))
	}
	switch {
	case ahead > maxSkew:
		return Finding{"clock", FindingWarn, fmt.Sprintf("a super-peer's record is from %s ahead of this clock", ahead.Round(time.Second)), "set the clock, best by NTP: certificates end by it"}
	case synchronised != nil && !*synchronised:
		return Finding{"clock", FindingWarn, "the system says that its clock is not synchronised", "turn on NTP, for example: timedatectl set-ntp true"}
	}
	return Finding{"clock", FindingGood, "plausible: " + now.UTC().Format(time.RFC3339), ""}
}

func examineDisk(dir string, free, used, quota int64) Finding {
	text := fmt.Sprintf("%d MiB are free on the disk of %s, the home takes %d MiB", free>>20, dir, used>>20)
	if quota > 0 {
		text += fmt.Sprintf(" of the %d MiB of its quota", quota>>20)
	}
	switch {
	case free < storage.DefaultMinFree:
		return Finding{"disk", FindingBad, text, fmt.Sprintf("free space, or run mlecs gc: the node stores nothing while less than %d MiB are free", int64(storage.DefaultMinFree)>>20)}
	case quota > 0 && float64(used) > spaceTight*float64(quota):
		return Finding{"disk", FindingWarn, text, "raise disk_quota in config.yaml: rounds are given up early, and at the quota nothing is stored"}
	case free < 4*storage.DefaultMinFree:
		return Finding{"disk", FindingWarn, text, "free space soon, or keep fewer rounds: mlecs gc --keep-rounds 2"}
	}
	return Finding{"disk", FindingGood, text, ""}
}

func examineMemory(available int64, role string, running bool, models []api.Model) Finding {
	if available == 0 {
		return Finding{"memory", FindingGood, "this system does not tell how much is free", ""}
	}
	need := int64(leastMemory)
	for _, m := range models {
		if m.Role == role {
			need += memoryPerBase * m.Bytes
		}
	}
	text := fmt.Sprintf("%d MiB are available, training takes about %d MiB", available>>20, need>>20)
	if !running && available < need {
		return Finding{"memory", FindingWarn, text, "end other programs, or join with a smaller base model"}
	}
	return Finding{"memory", FindingGood, text, ""}
}

func examineArithmetic(cfg Config) Finding {
	if said := cfg.baseDTypeShortfall(); said != "" {
		return Finding{"arithmetic", FindingWarn, "base_dtype: " + said, "set base_dtype to fp32, bf16 or int8 in config.yaml"}
	}
	return Finding{"arithmetic", FindingGood, fmt.Sprintf("%s, base models stored as %s", kernel.Active(), cfg.BaseDType), ""}
}

func examineMembership(now time.Time, s *api.Status, members []api.Member) []Finding {
	if s.Federation == "" {
		return []Finding{{"membership", FindingBad, "this home is in no federation", "run mlecs join TOKEN, or mlecs federation create"}}
	}
	for _, m := range members {
		if !m.Self {
			continue
		}
		ends := time.Unix(m.Expires, 0)
		text := fmt.Sprintf("%s of %q until %s", m.Role, s.FedName, ends.UTC().Format(time.DateOnly))
		switch {
		case m.Ended != "":
			return []Finding{{"membership", FindingBad, m.Ended, "ask the founder: an expired membership can be renewed (mlecs renew), a revoked one needs a new home and token"}}
		case ends.Sub(now) < soonEnds:
			return []Finding{{"membership", FindingWarn, text, "ask the founder to run: mlecs renew " + m.PeerID}}
		}
		return []Finding{{"membership", FindingGood, text, ""}}
	}
	return []Finding{{"membership", FindingBad, "this node holds no certificate", "ask the founder for a new token"}}
}

// examinePorts asks whether the fixed ports that a stopped node would listen on are free.
func examinePorts(cfg Config, s *api.Status) []Finding {
	if s.Running {
		return []Finding{{"ports", FindingGood, fmt.Sprintf("listening on %d addresses", len(s.Addrs)), ""}}
	}
	var out []Finding
	for _, addr := range cfg.P2P.Listen {
		proto, port := portOf(addr)
		if _, _, _, any := portless(addr); any || port == "" {
			continue
		}
		n, err := net.LookupPort(proto, port)
		if err == nil && portFree(proto, n) {
			continue
		}
		out = append(out, Finding{"ports", FindingBad, fmt.Sprintf("port %s/%s of %s is taken", proto, port, addr), "end the program that has it (ss -lnp), or change p2p.listen in config.yaml"})
	}
	if out == nil {
		out = []Finding{{"ports", FindingGood, "free", ""}}
	}
	return out
}

// examineReach tells from where the node can be reached: by what members found when they dialled back, and by its addresses before.
func examineReach(cfg Config, s *api.Status) Finding {
	switch super := s.Role == string(record.RoleSuper); {
	case len(s.Reach.Reachable) > 0:
		return Finding{"reachability", FindingGood, "members have dialled it at " + strings.Join(s.Reach.Reachable, ", "), ""}
	case len(s.Reach.Unreachable) > 0 && super:
		return Finding{"reachability", FindingBad, "members could not dial " + strings.Join(s.Reach.Unreachable, ", "), "let TCP and UDP through the firewall, or forward the ports, to the addresses in p2p.listen; name the outer ones in p2p.announce"}
	case len(s.Reach.Places) > 0:
		return Finding{"reachability", FindingGood, fmt.Sprintf("reached through %d super-peers, and directly from its own network", len(s.Reach.Places)), ""}
	case len(s.Reach.Unreachable) > 0:
		return Finding{"reachability", FindingWarn, "members could not dial " + strings.Join(s.Reach.Unreachable, ", ") + ", and no super-peer gives it a place", "set p2p.relay here and on super-peers, or forward a port to a fixed p2p.listen address"}
	case len(s.Addrs) == 0 && s.Running:
		return Finding{"reachability", FindingWarn, "it listens nowhere, and no super-peer gives it a place", "connect to a super-peer with p2p.relay, or name an address in p2p.listen"}
	case len(s.Addrs) == 0:
		return Finding{"reachability", FindingGood, "not known while the node does not run", ""}
	}
	public, private := 0, 0
	for _, text := range s.Addrs {
		a, err := ma.NewMultiaddr(strings.Split(text, "/p2p/")[0])
		switch {
		case err != nil || manet.IsIPLoopback(a):
		case manet.IsPublicAddr(a) || strings.HasPrefix(text, "/dns"):
			public++
		default:
			private++
		}
	}
	super := s.Role == string(record.RoleSuper)
	switch {
	case public > 0:
		return Finding{"reachability", FindingGood, fmt.Sprintf("%d public addresses, if no firewall is in the way", public), ""}
	case private > 0 && super && len(cfg.P2P.Announce) == 0:
		return Finding{"reachability", FindingWarn, "members outside this network cannot dial this super-peer", "forward a port to a fixed p2p.listen address, and name it in p2p.announce"}
	case private > 0:
		return Finding{"reachability", FindingGood, "reached from its own network; it dials others itself", ""}
	}
	return Finding{"reachability", FindingWarn, "only this machine can dial this node", "listen on /ip4/0.0.0.0/tcp/PORT in p2p.listen, unless all members are on this machine"}
}

// examineRouter tells what kind of router is in front.
func examineRouter(cfg Config, s *api.Status) Finding {
	switch {
	case len(s.Reach.Reachable) > 0:
		return Finding{"NAT", FindingGood, "none in the way", ""}
	case s.Reach.NAT == "hard" && cfg.P2P.Relay:
		return Finding{"NAT", FindingWarn, "the router gives every peer another port, so that hole punching fails: connections of others go through super-peers, which is slower", "set p2p.port_map, or forward a port and name it in p2p.announce"}
	case s.Reach.NAT == "hard":
		return Finding{"NAT", FindingWarn, "the router gives every peer another port: others cannot connect", "set p2p.relay or p2p.port_map, or forward a port and name it in p2p.announce"}
	case s.Reach.NAT == "easy":
		return Finding{"NAT", FindingGood, "a router that hole punching gets through", ""}
	}
	return Finding{"NAT", FindingGood, "no router was seen; it takes some members outside this network to tell", ""}
}

func examinePeers(s *api.Status, members []api.Member) Finding {
	others, supers, connected := 0, 0, 0
	for _, m := range members {
		if m.Self || m.State != api.MemberConnected && m.State != api.MemberAway {
			continue
		}
		others++
		if m.State == api.MemberConnected {
			connected++
			if m.Role == string(record.RoleSuper) {
				supers++
			}
		}
	}
	text := fmt.Sprintf("%d of %d other members are connected, %d of them super-peers", connected, others, supers)
	switch {
	case !s.Running:
		return Finding{"peers", FindingWarn, "the node does not run", "start it with: mlecs start"}
	case others == 0:
		return Finding{"peers", FindingWarn, "there are no other members yet", "invite one with: mlecs invite"}
	case connected == 0:
		return Finding{"peers", FindingBad, text, "see that one of them runs, that UDP and TCP are let out, and that p2p.bootstrap names an address that is still right"}
	case s.Role == string(record.RoleEdge) && supers == 0:
		return Finding{"peers", FindingWarn, text, "no round closes until a super-peer is back"}
	}
	return Finding{"peers", FindingGood, text, ""}
}

// examineData looks for the edge's own rows.
func (h *Home) examineData(cfg Config) Finding {
	dir := h.dataDir(cfg)
	if dir == "" {
		return Finding{"data", FindingBad, "config.yaml names no data", "set data to a folder with metadata.jsonl"}
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return Finding{"data", FindingBad, "the folder " + dir + " is not there", "mount or restore it, or change data in config.yaml"}
	}
	return Finding{"data", FindingGood, dir, ""}
}
