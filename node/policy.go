package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// policyEntry is a policy without its envelope.
type policyEntry struct {
	record.Record
	cid  cid.Cid
	body *record.Policy
}

// policyOf is the last policy of an author, nil if it has published none.
func (l *ledger) policyOf(author peer.ID) *policyEntry {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.policies[author]
}

// policy is what is in force: the founder's last policy, or what the genesis says.
func (g *genesis) policy(l *ledger) record.Policy {
	if p := l.policyOf(g.Founder); p != nil {
		return *p.body
	}
	return record.Policy{
		Round: g.Policy,
		Steps: record.Steps{CCL: uint64(g.method.CCLSteps), AMT: uint64(g.method.AMTSteps), Cloud: uint64(g.method.CloudSteps)},
	}
}

// keepRounds is for how many rounds a node keeps blobs, 0 for all: as the policy says, unless the node keeps all.
func (g *genesis) keepRounds(l *ledger, cfg Config) int {
	if g == nil || cfg.KeepRounds == 0 {
		return cfg.KeepRounds
	}
	if rounds := g.policy(l).KeepRounds; rounds > 0 {
		return int(rounds)
	}
	return cfg.KeepRounds
}

// showPolicy is what is in force, as the API tells it.
func (g *genesis) showPolicy(l *ledger) *api.Policy {
	p := g.policy(l)
	out := &api.Policy{
		Paused: p.Paused, Reason: p.Reason, Rounds: p.Round.Rounds, Quorum: p.Round.Quorum, Min: p.Round.Min, Deadline: p.Round.Deadline,
		CCLSteps: p.Steps.CCL, AMTSteps: p.Steps.AMT, CloudSteps: p.Steps.Cloud, KeepRounds: p.KeepRounds, Record: g.id.String(),
	}
	if e := l.policyOf(g.Founder); e != nil {
		out.Record, out.Created = e.cid.String(), e.Created
	}
	return out
}

// ChangePolicy changes how the federation goes on, on a running or a stopped node; other members hear of it once the node runs. The home
// must hold the founder key.
func (h *Home) ChangePolicy(ctx context.Context, c api.PolicyChange) (*api.Policy, error) {
	return administer(h, func(client *api.Client) (*api.Policy, error) { return client.ChangePolicy(ctx, c) }, func(store *storage.Store) (*api.Policy, error) {
		v, err := h.stopped(store)
		if err != nil {
			return nil, err
		}
		r, err := v.changePolicy(c)
		if err != nil {
			return nil, err
		}
		if _, err := store.PutRecord(r); err != nil {
			return nil, fmt.Errorf("store the policy: %w", err)
		}
		v.recent.add(r)
		return v.genesis.showPolicy(v.recent), nil
	})
}

// ChangePolicy changes how the federation goes on, and tells the other members at once.
func (v *runningView) ChangePolicy(ctx context.Context, c api.PolicyChange) (*api.Policy, error) {
	v.node.signing.Lock()
	defer v.node.signing.Unlock()
	r, err := v.changePolicy(c)
	if err != nil {
		return nil, err
	}
	if err := v.node.network.Publish(ctx, r); err != nil {
		return nil, err
	}
	v.node.take(r)
	v.node.log.Info("policy changed", "record", r.CID, "paused", c.Paused != nil && *c.Paused)
	return v.genesis.showPolicy(v.recent), nil
}

// changePolicy signs the policy in force with a change.
func (v *view) changePolicy(c api.PolicyChange) (*record.Signed, error) {
	if v.genesis == nil {
		return nil, fmt.Errorf("change the policy: %w", noFederation())
	}
	founder, err := v.home.founder()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, api.Advise(fmt.Errorf("change the policy: %w: only the founder of a federation may, and its key is not in this home", api.ErrBadRequest), "do it in the home that founded the federation")
	}
	if err != nil {
		return nil, fmt.Errorf("change the policy: %w", err)
	}
	p := v.genesis.policy(v.recent)
	set(&p.Paused, c.Paused)
	set(&p.Reason, c.Reason)
	set(&p.Round.Rounds, c.Rounds)
	set(&p.Round.Quorum, c.Quorum)
	set(&p.Round.Min, c.Min)
	set(&p.Round.Deadline, c.Deadline)
	set(&p.Steps.CCL, c.CCLSteps)
	set(&p.Steps.AMT, c.AMTSteps)
	set(&p.Steps.Cloud, c.CloudSteps)
	set(&p.KeepRounds, c.KeepRounds)
	kind, body, err := record.NewBody(&p)
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), record.ErrInvalid.Error()+": ")
		return nil, api.Advise(fmt.Errorf("change the policy: %w: %s", api.ErrBadRequest, why), "see what each flag takes with `mlecs federation policy set --help`, and what is in force with `mlecs federation policy`")
	}
	seq, err := v.store.NextSeq(v.genesis.Founder)
	if err != nil {
		return nil, fmt.Errorf("change the policy: %w", err)
	}
	parent := v.genesis.id
	if before := v.recent.policyOf(v.genesis.Founder); before != nil {
		parent = before.cid
	}
	r, err := record.Sign(founder, record.Record{
		Version: record.Version, Kind: kind, Federation: v.genesis.id, Seq: seq, Parents: []cid.Cid{parent}, Created: now().UnixMilli(), Body: body,
	})
	if err != nil {
		return nil, fmt.Errorf("change the policy: %w", err)
	}
	return r, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
