package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// liar is a super-peer whose program was replaced: it has the key, the certificate and the store of the node that it was.
type liar struct {
	name    string
	key     crypto.PrivKey
	store   *storage.Store
	network *p2p.Network
	genesis cid.Cid
	stop    func() error
}

// lie stops a super-peer and has an impostor go on in its place, who publishes an aggregate that its inputs do not give. All others must find
// that out, say so, and not use it.
func (l *lab) lie(ctx context.Context, s Step) (err error) {
	list, err := l.pick(ctx, s.Args[0])
	if err != nil {
		return err
	}
	if len(list) != 1 || list[0].Role() != "super" {
		return errors.New("one super-peer must lie")
	}
	culprit := list[0]
	patience := s.duration("within", defaultPatience)
	st, err := culprit.status(ctx)
	if err != nil {
		return err
	}
	if err := culprit.end(func() error { return culprit.Stop(ctx) }); err != nil {
		return err
	}
	x, err := impersonate(culprit, st.Federation)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, x.stop()) }()
	honest := slices.DeleteFunc(slices.Clone(l.subjects), func(s *subject) bool { return s == culprit })
	lie, round, err := x.publish(ctx, patience)
	if err != nil {
		return err
	}
	l.say("%s published a false aggregate of round %d: %s", culprit.Name(), round, lie)
	if err := l.flagged(ctx, honest, culprit, lie, patience); err != nil {
		return err
	}
	if err := l.mark(ctx, s); err != nil {
		return err
	}
	after := Step{Label: "rounds go on without it", Args: []string{"+2"}, Keys: map[string]string{"on": strings.Join(namesOf(honest), ","), "within": patience.String()}}
	if err := l.expectRounds(ctx, after); err != nil {
		return err
	}
	return l.unused(ctx, honest, lie)
}

// impersonate takes a stopped node's place in the network.
func impersonate(s *subject, federation string) (x *liar, err error) {
	x = &liar{name: s.Name()}
	if x.genesis, err = cid.Decode(federation); err != nil {
		return nil, err
	}
	if x.key, err = node.ReadKey(filepath.Join(s.Home(), "identity.key")); err != nil {
		return nil, err
	}
	if x.store, err = storage.Open(s.Home(), storage.Options{}); err != nil {
		return nil, err
	}
	cfg := p2p.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}}
	if x.network, err = p2p.New(cfg, p2p.Deps{Key: x.key, Store: x.store, Federation: x.genesis}); err != nil {
		return nil, errors.Join(err, x.store.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- x.network.Serve(ctx) }()
	x.stop = func() error {
		cancel()
		return errors.Join(<-served, x.store.Close())
	}
	return x, nil
}

// publish waits for deltas of an open round and closes it with the components of the round before, as if the deltas had given them.
func (x *liar) publish(ctx context.Context, patience time.Duration) (lie cid.Cid, round uint64, err error) {
	var before *record.Signed
	var body *record.Aggregate
	var deltas []*record.Signed
	late := until(ctx, patience, func() bool {
		if before, body, err = x.newest(); err != nil || before == nil {
			return err != nil
		}
		deltas, err = x.deltas(body.Round + 1)
		return err != nil || len(deltas) > 0
	})
	if err = errors.Join(err, late); err != nil {
		return cid.Undef, 0, fmt.Errorf("wait for deltas of an open round: %w", err)
	}
	round = body.Round + 1
	own, err := x.contribute(ctx, before, body, round)
	if err != nil {
		return cid.Undef, 0, err
	}
	parents := []cid.Cid{before.CID, own}
	body.Round, body.Inputs = round, nil
	for _, d := range deltas {
		of, err := record.BodyAs[record.Delta](d)
		if err != nil {
			return cid.Undef, 0, err
		}
		body.Inputs = append(body.Inputs, record.Input{Delta: d.CID, Round: round, Author: d.Author, Modalities: of.Modalities, Weight: 1 / float64(len(deltas))})
		parents = append(parents, d.CID)
	}
	for i := range body.Components {
		body.Components[i].Inputs = []record.ComponentWeight{{Delta: deltas[0].CID, Weight: 0.5}, {Delta: own, Weight: 0.5}}
	}
	lie, err = publishAs(ctx, x, body, parents)
	return lie, round, err
}

// newest is the last aggregate in the liar's store, nil if there is none.
func (x *liar) newest() (last *record.Signed, body *record.Aggregate, err error) {
	for r, err := range x.store.Records(record.KindAggregate) {
		if err != nil {
			return nil, nil, err
		}
		b, err := record.BodyAs[record.Aggregate](r)
		if err != nil {
			return nil, nil, err
		}
		if body == nil || b.Round >= body.Round {
			last, body = r, b
		}
	}
	return last, body, nil
}

func (x *liar) deltas(round uint64) (list []*record.Signed, err error) {
	for r, err := range x.store.Records(record.KindDelta) {
		if err != nil {
			return nil, err
		}
		if b, err := record.BodyAs[record.Delta](r); err == nil && b.Round == round {
			list = append(list, r)
		}
	}
	return list, nil
}

// contribute repeats, as the liar's own part of a round, what the aggregate before had of its author.
func (x *liar) contribute(ctx context.Context, before *record.Signed, body *record.Aggregate, round uint64) (cid.Cid, error) {
	for _, p := range before.Parents {
		r, err := x.store.Record(p)
		if err != nil || r.Kind != record.KindContribution {
			continue
		}
		own, err := record.BodyAs[record.Contribution](r)
		if err != nil {
			return cid.Undef, err
		}
		own.Round = round
		return publishAs(ctx, x, own, []cid.Cid{before.CID})
	}
	return cid.Undef, fmt.Errorf("the aggregate of round %d has no contribution", body.Round)
}

func publishAs[T record.Body](ctx context.Context, x *liar, body *T, parents []cid.Cid) (cid.Cid, error) {
	kind, encoded, err := record.NewBody(body)
	if err != nil {
		return cid.Undef, err
	}
	seq, err := x.store.NextSeq(x.network.ID())
	if err != nil {
		return cid.Undef, err
	}
	r, err := record.Sign(x.key, record.Record{Kind: kind, Federation: x.genesis, Seq: seq, Parents: parents, Created: time.Now().UnixMilli(), Body: encoded})
	if err != nil {
		return cid.Undef, err
	}
	return r.CID, x.network.Publish(ctx, r)
}

// flagged: every honest node shows the liar as disputed, and nobody else.
func (l *lab) flagged(ctx context.Context, honest []*subject, culprit *subject, lie cid.Cid, patience time.Duration) error {
	began := time.Now()
	var waiting, wrong []string
	err := until(ctx, patience, func() bool {
		waiting, wrong = nil, nil
		for _, s := range honest {
			peers, err := ask(ctx, s, func(ctx context.Context, c *api.Client) ([]api.Peer, error) { return c.Peers(ctx) })
			seen := false
			for _, p := range peers {
				switch {
				case p.Disputed == 0:
				case p.PeerID == culprit.id:
					seen = true
				default:
					wrong = append(wrong, fmt.Sprintf("%s flags %s", s.Name(), p.Name))
				}
			}
			if err != nil || !seen {
				waiting = append(waiting, s.Name())
			}
		}
		return len(waiting) == 0
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	detail := fmt.Sprintf("%d of %d honest nodes show %s as disputed after %.1f s", len(honest)-len(waiting), len(honest), culprit.Name(), time.Since(began).Seconds())
	if len(waiting) > 0 {
		detail += "; not " + strings.Join(waiting, ", ")
	}
	l.record(Check{"the liar is flagged to all", err == nil, detail})
	if wrong == nil {
		l.record(Check{"no honest super-peer is flagged", true, fmt.Sprintf("%d nodes flag nobody but %s", len(honest), culprit.Name())})
	} else {
		l.record(Check{"no honest super-peer is flagged", false, listed(wrong)})
	}
	return l.objections(ctx, honest, lie)
}

// objections tells who objects to the lie, and why.
func (l *lab) objections(ctx context.Context, honest []*subject, lie cid.Cid) error {
	v, err := ask(ctx, honest[0], func(ctx context.Context, c *api.Client) (*api.Verification, error) {
		return c.Verify(ctx, lie.String())
	})
	if err != nil {
		l.record(Check{"mlecs verify says what is false", false, err.Error()})
		return nil
	}
	var reasons []string
	for _, d := range v.Disputes {
		if reason := d.AuthorName + ": " + d.Reason; !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	l.record(Check{"mlecs verify says what is false", v.Verdict == api.VerdictFalse && len(v.Disputes) > 0, fmt.Sprintf("verdict %s, %d objections: %s", v.Verdict, len(v.Disputes), listed(reasons))})
	return nil
}

// unused: nothing that honest nodes have built since has the lie among what it was made from, and no node has taken it over.
func (l *lab) unused(ctx context.Context, honest []*subject, lie cid.Cid) error {
	var wrong []string
	made := 0
	for _, s := range honest {
		rounds, err := s.rounds(ctx)
		if err != nil {
			return err
		}
		last := rounds[len(rounds)-1]
		tree, err := ask(ctx, s, func(ctx context.Context, c *api.Client) (*api.Lineage, error) {
			return c.Lineage(ctx, last.Aggregate, 0)
		})
		if err != nil {
			return err
		}
		made = max(made, len(tree.Records))
		for _, r := range tree.Records {
			if r.CID == lie.String() {
				wrong = append(wrong, s.Name()+" has it in the lineage of round "+fmt.Sprint(last.Round))
			}
		}
		log, err := os.ReadFile(s.Log())
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, lie.String()) && (strings.Contains(line, "msg=absorbed") || strings.Contains(line, "took over the checkpoint")) {
				wrong = append(wrong, s.Name()+" has taken it over")
			}
		}
	}
	if len(wrong) > 0 {
		l.record(Check{"its aggregate is not used", false, listed(wrong)})
		return nil
	}
	l.record(Check{"its aggregate is not used", true, fmt.Sprintf("not among the %d records that the newest aggregate was made from; no node has taken it over", made)})
	return nil
}
