package node

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// How a node verifies the aggregates that it takes over, as config.yaml says it.
const (
	verifyFull = "full" // every component
	verifySpot = "spot" // one component, another one on every node, and those that somebody disputes
	verifyOff  = "off"  // none
)

// auditPatience is how long a node waits for the inputs of an aggregate before it takes it over unverified: those who made them may be gone.
const auditPatience = 15 * time.Second

// errFalse says that an aggregate is not what its inputs give.
var errFalse = errors.New("false aggregate")

// finding is what a node remembers of an aggregate that it verified.
type finding struct {
	Verdict string `json:"verdict"` // api.VerdictVerified, VerdictChecked or VerdictFalse
	Reason  string `json:"reason,omitempty"`
	At      int64  `json:"at"` // Unix milliseconds
}

// audit verifies an aggregate before it is taken over, and tells the other members if it is false: the error Is errFalse. An aggregate
// whose inputs are out of reach passes.
func (n *Node) audit(ctx context.Context, a *aggregateEntry) error {
	if n.cfg.Verify == verifyOff || a.Author == n.self {
		return nil
	}
	var known finding
	ok, err := getJSON(n.store, keyFinding+a.cid.String(), &known)
	if err != nil {
		return err
	}
	disputes := n.ledger.disputesOf(a.cid)
	switch {
	case ok && known.Verdict == api.VerdictFalse:
		return fmt.Errorf("%w: %s", errFalse, known.Reason)
	case ok && (known.Verdict == api.VerdictVerified || len(disputes) == 0):
		return nil
	}
	patience, cancel := context.WithTimeout(ctx, auditPatience)
	defer cancel()
	n.awaitRecords(patience, a.Parents)
	v, err := newVerifier(n.store, n.genesis, n.ledger, n.fetchBlobs).run(patience, a, n.toCheck(a, disputes))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || v.Verdict == api.VerdictUnknown {
		n.log.Warn("aggregate not verified", "round", a.body.Round, "aggregate", a.cid, "reason", unknownReason(v, err))
		return nil
	}
	found := finding{Verdict: v.Verdict, At: time.Now().UnixMilli()}
	if v.Verdict == api.VerdictVerified && len(v.Components) < len(a.body.Components) {
		found.Verdict = api.VerdictChecked
	}
	var bad api.VerifiedComponent
	for _, c := range v.Components {
		if c.Verdict == api.VerdictFalse {
			bad = c
			found.Reason = fmt.Sprintf("component %s: %s", c.Name, c.Detail)
		}
	}
	if err := putJSON(n.store, keyFinding+a.cid.String(), found); err != nil {
		return err
	}
	n.log.Debug("aggregate verified", "round", a.body.Round, "aggregate", a.cid, "verdict", found.Verdict, "fetched", v.Fetched)
	if found.Verdict != api.VerdictFalse {
		return nil
	}
	if err := n.dispute(ctx, a, bad); err != nil {
		n.log.Error("dispute not published", "aggregate", a.cid, "err", err)
	}
	return fmt.Errorf("%w: %s", errFalse, found.Reason)
}

// awaitRecords waits until all of the records are here, or ctx ends: gossip may bring an aggregate before its inputs, which then come by sync.
func (n *Node) awaitRecords(ctx context.Context, ids []cid.Cid) {
	for {
		changed := n.ledger.next()
		if !slices.ContainsFunc(ids, func(id cid.Cid) bool { return !n.store.HasRecord(id) }) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

func unknownReason(v *api.Verification, err error) string {
	if err != nil {
		return err.Error()
	}
	for _, c := range v.Components {
		if c.Verdict == api.VerdictUnknown {
			return c.Detail
		}
	}
	return "it has no components"
}

// toCheck chooses the components to recompute. Which one a spot check takes nobody can foretell who does not know this node's id, and
// over the members all are taken.
func (n *Node) toCheck(a *aggregateEntry, disputes []*disputeEntry) func(int, record.AggregatedComponent) bool {
	if n.cfg.Verify == verifyFull || len(a.body.Components) == 0 {
		return every
	}
	sum := sha256.Sum256(append([]byte(n.self), a.cid.Bytes()...))
	mine := int(binary.BigEndian.Uint64(sum[:]) % uint64(len(a.body.Components)))
	return func(i int, c record.AggregatedComponent) bool {
		if i == mine {
			return true
		}
		for _, d := range disputes {
			if d.body.Component == "" || d.body.Component == c.Name && d.body.Signature == c.Signature {
				return true
			}
		}
		return false
	}
}

// dispute publishes that this node found an aggregate false.
func (n *Node) dispute(ctx context.Context, a *aggregateEntry, c api.VerifiedComponent) error {
	body := &record.Dispute{Aggregate: a.cid, Component: c.Name, Signature: c.Signature, Reason: shortened(c.Detail, record.MaxLongName)}
	if c.Found != "" && c.Found != c.Claimed {
		var err error
		if body.Claimed, err = cid.Decode(c.Claimed); err != nil {
			return err
		}
		if body.Found, err = cid.Decode(c.Found); err != nil {
			return err
		}
	}
	kind, encoded, err := record.NewBody(body)
	if err != nil {
		return err
	}
	r, err := n.publish(ctx, kind, encoded, []cid.Cid{a.cid})
	if err != nil {
		return err
	}
	n.log.Warn("aggregate disputed", "round", a.body.Round, "aggregate", a.cid, "author", a.Author, "component", c.Name, "reason", c.Detail, "dispute", r.CID)
	return nil
}

func shortened(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit]
}

// distrusts tells whether this node itself found an aggregate of p false. It does not leave rounds to such a super-peer.
func (n *Node) distrusts(p peer.ID) bool {
	for _, a := range n.ledger.disputedBy(p) {
		var f finding
		if ok, err := getJSON(n.store, keyFinding+a.String(), &f); err == nil && ok && f.Verdict == api.VerdictFalse {
			return true
		}
	}
	return false
}

// Verify recomputes an aggregate, and fetches what it lacks.
func (v *runningView) Verify(ctx context.Context, id string) (*api.Verification, error) {
	return v.verify(ctx, id, v.node.fetchBlobs)
}
