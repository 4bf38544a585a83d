package p2p

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

const (
	gossipOverhead = 4 << 10          // bytes around a record in an RPC: topic, author, signature, control messages
	seenFor        = 10 * time.Minute // a message heard again within this time is not looked at
	validateQueue  = 1024             // messages that wait for validation; more are dropped, and come by sync
)

// topicOf names the federation's gossip topic. Only members ever hear it.
func topicOf(federation cid.Cid) string { return "/mlecs/" + federation.String() }

// gossip is the federation's topic. Its validator accepts records into the store, so nothing is forwarded that is not
// valid and on disk here; the topic is relayed, not subscribed to, since subscribers are served by accept.
type gossip struct {
	topic *pubsub.Topic
	joins *pubsub.TopicEventHandler
	trace *meshTrace
}

// startGossip joins the topic; everything ends with ctx.
func startGossip(ctx context.Context, n *Network) (*gossip, error) {
	name := topicOf(n.federation)
	trace := newMeshTrace(n.blame)
	params, thresholds := scoring(name, n.conduct.score)
	ps, err := pubsub.NewGossipSub(ctx, n.gated,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictSign),
		pubsub.WithMaxMessageSize(record.MaxSize+gossipOverhead),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithFloodPublish(true), // own records go to all members in reach, also before a mesh has formed
		pubsub.WithSeenMessagesTTL(seenFor),
		pubsub.WithPeerFilter(func(p peer.ID, topic string) bool { return topic == name && n.gate.proved(p) }),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter(pubsub.NewAllowlistSubscriptionFilter(name), 16)),
		pubsub.WithPeerScore(params, thresholds),
		pubsub.WithRawTracer(trace),
		// One at a time and in order: accept is serial anyway, and a record must not overtake the certificate that it needs.
		pubsub.WithValidateWorkers(1),
		pubsub.WithValidateQueueSize(validateQueue),
	)
	if err != nil {
		return nil, err
	}
	if err := ps.RegisterTopicValidator(name, n.validate, pubsub.WithValidatorInline(true)); err != nil {
		return nil, err
	}
	topic, err := ps.Join(name)
	if err != nil {
		return nil, err
	}
	joins, err := topic.EventHandler()
	if err != nil {
		return nil, err
	}
	if _, err := topic.Relay(); err != nil {
		return nil, err
	}
	return &gossip{topic, joins, trace}, nil
}

// watchJoins syncs with every peer that subscribes. What was published between its hello and its subscription has not reached it by
// gossip, and would otherwise wait for the periodic sync.
func (n *Network) watchJoins(ctx context.Context) error {
	joins := n.gossip.Load().joins
	for {
		e, err := joins.NextPeerEvent(ctx)
		if err != nil {
			return err
		}
		if e.Type == pubsub.PeerJoin {
			n.reconcileWith(e.Peer)
		}
	}
}

// messageID is a hash of the envelope, so that a record is one message whoever publishes it.
func messageID(m *pb.Message) string {
	sum := sha256.Sum256(m.GetData())
	return string(sum[:])
}

func (g *gossip) publish(ctx context.Context, r *record.Signed) error {
	return g.topic.Publish(ctx, r.Envelope)
}

func (g *gossip) mesh() []peer.ID { return g.trace.list() }

// announce shows a member to gossip.
func (n *Network) announce(p peer.ID) {
	if err := n.gated.announce(p, pubsub.GossipSubDefaultProtocols); err != nil {
		n.log.Error("member not announced to gossip", "peer", p, "err", err)
	}
}

// validate accepts a message's record. Reject costs the forwarder score, so it is for what the forwarder should have rejected itself.
func (n *Network) validate(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
	if from == n.id {
		return pubsub.ValidationAccept // accepted before it was published
	}
	s, added, err := n.acceptEnvelope(m.GetData(), from)
	switch {
	case err == nil:
		if added && n.leavesGap(s) {
			n.reconcileWith(from)
		}
		return pubsub.ValidationAccept
	case isRefusal(err):
		return pubsub.ValidationReject
	case errors.Is(err, errUnknownAuthor), errors.Is(err, errUnknownIssuer):
		n.log.Debug("record of an unknown author; syncing", "peer", from, "record", s.CID, "author", s.Author)
		n.reconcileWith(from)
	case errors.Is(err, errQuota):
		n.log.Debug("record beyond its author's quota", "peer", from, "record", s.CID, "author", s.Author)
	case !errors.Is(err, errConflict) && !errors.Is(err, ErrClosed):
		n.log.Error("gossiped record not taken", "peer", from, "err", err)
	}
	return pubsub.ValidationIgnore
}

// leavesGap tells whether records that s builds on, or its author's record before s, are missing here.
func (n *Network) leavesGap(s *record.Signed) bool {
	if slices.ContainsFunc(s.Parents, func(p cid.Cid) bool { return !n.store.HasRecord(p) }) {
		return true
	}
	if s.Seq <= 1 {
		return false
	}
	for _, err := range n.store.ByAuthor(s.Author, storage.Range{From: s.Seq - 1, To: s.Seq - 1}) {
		return err != nil
	}
	return true
}

// scoring gives modest peer scoring: members are known by name and can be revoked, so the score only has to keep a faulty node from
// being a burden. What a peer does wrong, in gossip and outside, is counted by conduct, which alone decides who is ignored.
func scoring(topic string, conduct func(peer.ID) float64) (*pubsub.PeerScoreParams, *pubsub.PeerScoreThresholds) {
	params := &pubsub.PeerScoreParams{
		AppSpecificScore:            conduct,
		AppSpecificWeight:           1,
		TopicScoreCap:               20,
		IPColocationFactorThreshold: 1, // weight 0: many nodes behind one address are normal
		BehaviourPenaltyWeight:      -10,
		BehaviourPenaltyThreshold:   6,
		BehaviourPenaltyDecay:       0.98,
		DecayInterval:               time.Second,
		DecayToZero:                 0.01,
		RetainScore:                 10 * time.Minute,
		SeenMsgTTL:                  seenFor,
		Topics: map[string]*pubsub.TopicScoreParams{topic: {
			TopicWeight:                    1,
			TimeInMeshWeight:               0.01,
			TimeInMeshQuantum:              time.Second,
			TimeInMeshCap:                  300,
			FirstMessageDeliveriesWeight:   0.5,
			FirstMessageDeliveriesDecay:    0.99,
			FirstMessageDeliveriesCap:      20,
			MeshMessageDeliveriesDecay:     0.5, // weight 0: with rounds of minutes, silence is normal
			MeshMessageDeliveriesCap:       1,
			MeshMessageDeliveriesThreshold: 1,
			MeshMessageDeliveriesWindow:    10 * time.Millisecond,

			MeshMessageDeliveriesActivation: time.Second,
			MeshFailurePenaltyDecay:         0.5,
			InvalidMessageDeliveriesWeight:  0, // conduct counts them
			InvalidMessageDeliveriesDecay:   0.98,
		}},
	}
	thresholds := &pubsub.PeerScoreThresholds{
		GossipThreshold:             -50,
		PublishThreshold:            -100,
		GraylistThreshold:           -graylisted,
		AcceptPXThreshold:           1000, // peer exchange is not used
		OpportunisticGraftThreshold: 1,
	}
	return params, thresholds
}
