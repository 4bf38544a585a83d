package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// learner is what the learners of both roles stand on. One goroutine runs it.
type learner struct {
	*Node
	log  *slog.Logger // in place of the node's own
	rows *rowSet
	pace *pace
}

// learn is the service that brings the home up to date, loads its rows, and runs the role's learner. Started again after a failure, it
// goes on from what is stored.
func (n *Node) learn(ctx context.Context) error {
	if err := n.awaitRoom(ctx); err != nil {
		return err
	}
	n.live.enter(phaseFetching)
	if err := n.catchUp(ctx); err != nil {
		return err
	}
	if err := n.bringUp(ctx); err != nil {
		return err
	}
	n.live.enter(phaseLoading)
	rows, err := n.home.loadRows(ctx, n.cfg, n.genesis, n.member.Role)
	if err != nil {
		return final(ctx, err)
	}
	l := &learner{Node: n, log: n.levels.logger(n.base, logLearner), rows: rows, pace: &pace{}}
	err = l.remember(func(f *facts) {
		f.Domain, f.Modalities = rows.domain, rows.modalities
		f.TrainRows, f.TestRows, f.PublicRows = len(rows.private), len(rows.test), len(rows.public)
	})
	if err != nil {
		return err
	}
	if len(rows.test) == 0 {
		n.log.Warn("no own test rows: this node is not scored")
	}
	if said := n.cfg.baseDTypeShortfall(); said != "" {
		n.log.Warn("base_dtype: " + said)
	}
	n.offerBaseline(l)
	if n.member.Role == record.RoleSuper {
		s, err := newSuper(l)
		if err != nil {
			return final(ctx, err)
		}
		return s.serve(ctx)
	}
	e, err := newEdge(l)
	if err != nil {
		return final(ctx, err)
	}
	return e.serve(ctx)
}

// bringUp finishes a join that was interrupted, or follows a change of modalities in the config.
func (n *Node) bringUp(ctx context.Context) error {
	modalities := modalityNames(n.genesis)
	if n.member.Role == record.RoleEdge {
		set, err := n.home.openOwn(n.cfg, n.member.Role)
		if err != nil {
			return final(ctx, err)
		}
		if modalities, err = chooseModalities(n.cfg.Modalities, n.genesis, set); err != nil {
			return final(ctx, err)
		}
	}
	p := provision{
		seat: n.seat, home: n.home, store: n.store, modalities: modalities, network: n.network,
		progress: func(string, int64, int64) {},
	}
	return p.run(ctx)
}

// errFinal marks an error that a restart of the service cannot mend.
var errFinal = errors.New("cannot go on")

// final marks err, unless it came from the end of ctx or from a full disk, which has room again some day.
func final(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if noRoom(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errFinal, err)
}

// last tells whether round is the federation's last.
func (l *learner) last(round uint64) bool {
	rounds := l.policy().Rounds
	return rounds > 0 && round >= rounds
}

// policy is the federation's round policy.
func (l *learner) policy() record.RoundPolicy { return l.genesis.policy(l.ledger).Round }

// paused tells whether the founder has paused the federation.
func (l *learner) paused() bool { return l.genesis.policy(l.ledger).Paused }

// liveEdges are the edges that are connected, this node among them if it is one.
func (l *learner) liveEdges() []peer.ID {
	var live []peer.ID
	for _, m := range l.network.Members() {
		if m.Role == record.RoleEdge && m.Connected && !m.Gray {
			live = append(live, m.ID)
		}
	}
	return live
}

// deadline is how long after its opening a round closes with whatever is in.
func (l *learner) deadline() time.Duration {
	return l.pace.deadline(time.Duration(l.policy().Deadline)*time.Millisecond, l.liveEdges())
}

// observe notes what has come in.
func (l *learner) observe() { l.pace.arrive(time.Now(), l.ledger.latest()) }

// busy keeps the standalone comparison back until the returned function is called.
func (l *learner) busy() (free func()) {
	l.gate.close()
	return l.gate.open
}

// rest waits for a change of the ledger; false when ctx has ended.
func rest(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	case <-ctx.Done():
		return false
	}
}

// pause waits for d, or for a change of the ledger; false when ctx has ended.
func pause(ctx context.Context, changed <-chan struct{}, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	case <-ctx.Done():
		return false
	}
	return true
}

// await waits for a change of the ledger, or for aggregates out of reach to be tried again; false when ctx has ended.
func (l *learner) await(ctx context.Context, changed <-chan struct{}) bool {
	if len(l.avoided) > 0 {
		return pause(ctx, changed, retryEvery)
	}
	return rest(ctx, changed)
}

// retry tells of an aggregate that could not be taken over. One that is not in reach is tried again after a moment (nil) and, once it was
// not for as long as patience, passed over for a time. One that is false is passed over for good. After any other error the model may be half changed: the service starts again
// from what is stored, and passes over an aggregate of unusable content.
func (l *learner) retry(ctx context.Context, a *aggregateEntry, err error, changed <-chan struct{}, patience, rest time.Duration) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = fmt.Errorf("aggregate %s of round %d: %w", a.cid, a.body.Round, err)
	if errors.Is(err, errBadBlob) {
		l.live.rejectBlob()
		l.avoided.ban(a.cid)
	}
	if errors.Is(err, errFalse) { // found before anything was changed
		l.live.fail(err)
		l.avoided.ban(a.cid)
		return nil
	}
	if !errors.Is(err, errNotFetched) {
		return err
	}
	lasted := l.avoided.miss(a.cid, patience, rest)
	if lasted > retryEvery { // else the network may only just be coming up
		l.live.fail(err)
		l.log.Warn("aggregate not in reach", "for", lasted.Round(time.Second), "err", err)
	}
	if !pause(ctx, changed, min(max(lasted, retrySoon), retryEvery)) {
		return ctx.Err()
	}
	return nil
}

// finish notes that the last round is absorbed and scored.
func (l *learner) finish(round uint64) error {
	f, _, _, _ := l.live.now()
	l.live.enter(phaseDone)
	if f.Learned {
		return nil
	}
	l.log.Info("learning done", "round", round)
	return l.remember(func(f *facts) { f.Learned = true })
}

// begin notes that learning goes on, if it was done: the founder may have set a later last round.
func (l *learner) begin() error {
	if f, _, _, _ := l.live.now(); !f.Learned {
		return nil
	}
	return l.remember(func(f *facts) { f.Learned = false })
}

// remember changes the facts and stores them for when the node does not run.
func (n *Node) remember(change func(*facts)) error {
	n.factsMu.Lock() // what is stored last must be what was changed last
	defer n.factsMu.Unlock()
	return putJSON(n.store, keyFacts, n.live.learn(change))
}

// publish signs a record with this node's key, stores and gossips it.
func (n *Node) publish(ctx context.Context, kind record.Kind, body []byte, parents []cid.Cid) (*record.Signed, error) {
	n.signing.Lock()
	defer n.signing.Unlock()
	seq, err := n.store.NextSeq(n.self)
	if err != nil {
		return nil, err
	}
	r, err := record.Sign(n.key, record.Record{
		Version: record.Version, Kind: kind, Federation: n.genesis.id, Seq: seq, Parents: parents, Created: now().UnixMilli(), Body: body,
	})
	if err != nil {
		return nil, err
	}
	if err := n.network.Publish(ctx, r); err != nil {
		return nil, err
	}
	n.take(r)
	return r, nil
}

// finiteMetrics leaves out what a record cannot say.
func finiteMetrics(m map[string]float64) map[string]float64 {
	out := make(map[string]float64, len(m))
	for k, v := range m {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out[k] = v
		}
	}
	return out
}
