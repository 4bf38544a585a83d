package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// runningView adds to a view what only the running node knows.
type runningView struct {
	view
	node    *Node
	started time.Time
	door    *door
}

// handler is what the node answers over its socket, and behind the door.
func (v *runningView) handler() http.Handler {
	mux := http.NewServeMux()
	handleMetrics(mux, v.node.registry)
	mux.Handle("/", api.Handler(v))
	return mux
}

// Status of the running node.
func (v *runningView) Status(context.Context) (*api.Status, error) {
	s, err := v.describe()
	if err != nil {
		return nil, err
	}
	n := v.node
	f, w, failed, _ := n.live.now()
	f.show(s)
	space, err := v.store.Space()
	if err != nil {
		return nil, err
	}
	s.DiskBytes = space.Used
	s.Running, s.PID, s.Error = true, os.Getpid(), failed
	s.UptimeSec = time.Since(v.started).Seconds()
	s.Phase, s.StepDone, s.StepTotal, s.Loss = w.phase, w.done, w.total, finite(w.loss)
	s.Cloudless = n.live.isAlone()
	if s.Done {
		s.Phase = phaseDone
	}
	if err := n.room(); err != nil {
		s.Phase, s.Error = phaseDiskFull, err.Error()
	}
	s.Addrs = nonNil(n.network.Addrs())
	s.Reach = api.Reach(n.network.Reach())
	for _, p := range n.network.Peers() {
		if p.Role != "" {
			s.Peers++
		}
	}
	t := n.total()
	s.BytesSent, s.BytesReceived = t.Sent, t.Received
	s.Protocols = n.byProtocol()
	s.RejectedRecords, s.RejectedBlobs, s.RefusedPeers = t.RejectedRecords, t.RejectedBlobs, t.RefusedPeers
	return s, nil
}

// Peers are connected peers, and members that are not connected.
func (v *runningView) Peers(context.Context) ([]api.Peer, error) {
	list := []api.Peer{}
	disputed := v.recent.disputed()
	connected := map[peer.ID]bool{v.node.network.ID(): true}
	for _, p := range v.node.network.Peers() {
		connected[p.ID] = true
		out := api.Peer{
			PeerID: p.ID.String(), Name: p.Name, Role: string(p.Role), Connected: true, Addr: p.Addr,
			RTTMillis: float64(p.RTT) / float64(time.Millisecond), Since: p.Since.Unix(), Sent: p.Sent, Received: p.Received,
			Disputed: disputed[p.ID], Faults: p.Faults, Gray: p.Gray,
		}
		if m, ok := v.node.network.Member(p.ID); ok {
			out.Expires = m.Expires.Unix()
		}
		list = append(list, out)
	}
	for _, m := range v.node.network.Members() {
		if !connected[m.ID] {
			list = append(list, api.Peer{PeerID: m.ID.String(), Name: m.Name, Role: string(m.Role), Expires: m.Expires.Unix(), Disputed: disputed[m.ID]})
		}
	}
	slices.SortFunc(list, func(a, b api.Peer) int { return strings.Compare(a.PeerID, b.PeerID) })
	return list, nil
}

// Invite makes a token while the node holds the store, and tells the other members of its certificate.
func (v *runningView) Invite(ctx context.Context, r api.InviteRequest) (*api.InviteReply, error) {
	v.node.signing.Lock()
	t, err := v.home.invite(v.store, r, v.node.network.Addrs())
	v.node.signing.Unlock()
	if err != nil {
		return nil, err
	}
	cert, err := record.Open(t.Certificate)
	if err != nil {
		return nil, fmt.Errorf("read the invite's certificate: %w", err)
	}
	if err := v.node.network.Publish(ctx, cert); err != nil {
		return nil, err
	}
	v.node.take(cert)
	return &api.InviteReply{Token: t.String()}, nil
}

// Events of the running node.
func (v *runningView) Events(ctx context.Context, after uint64) <-chan api.Event {
	return v.node.events.follow(ctx, after)
}

// Ready says what the node still does before it takes part in rounds.
func (v *runningView) Ready(context.Context) error {
	if err := v.node.room(); err != nil {
		return err
	}
	_, w, failed, _ := v.node.live.now()
	switch w.phase {
	case phaseStarting, phaseFetching, phaseLoading:
		if failed != "" {
			return errors.New("the learner failed and starts again")
		}
		return fmt.Errorf("the node is %s", w.phase)
	}
	return nil
}

// Login makes a link to the node's page.
func (v *runningView) Login(context.Context) (*api.Login, error) { return v.door.login() }

// LogLevels are those of the node's subsystems.
func (v *runningView) LogLevels() []api.LogLevel { return v.node.levels.list() }

// SetLogLevel changes one of them, or all.
func (v *runningView) SetLogLevel(l api.LogLevel) error { return v.node.levels.set(l) }

// errAsked is why a node stops that was asked to.
var errAsked = errors.New("asked over the control API")

// Stop begins a clean stop.
func (v *runningView) Stop() { v.node.stop(errAsked) }
