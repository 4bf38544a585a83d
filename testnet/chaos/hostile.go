package chaos

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/storage/record"
)

// wave is one way to be a burden. A wave is a new member that does just this to every honest node for a while: at any time one peer in five is
// hostile, and one that is on the gray list for one thing does not hide what another would do.
type wave struct {
	name string
	all  bool // every honest node must put it on its gray list; false: whoever it did wrong to
	rate int  // per second and node; 0: as the script says
	make func(w *siege) (frame []byte, err error)
}

var waves = []wave{
	{"bad signatures", true, 0, (*siege).badSignature},
	{"wrong CIDs", false, 2, (*siege).wrongCID},
	{"oversize messages", true, 50, (*siege).oversize},
	{"replays", true, 0, (*siege).replay},
	{"a flood of records", true, 0, (*siege).flood},
}

// siege is a hostile member at work.
type siege struct {
	*intruder
	topic      string
	federation cid.Cid
	round      uint64
	prepared   []*record.Signed // of a flood, signed before it begins
	next       atomic.Int64
}

// hostile measures the honest nodes with and without hostile members.
func (l *lab) hostile(ctx context.Context, s Step) error {
	honest := slices.Clone(l.subjects)
	length, limit, rate := s.duration("wave", 10*time.Second), s.factor("limit", 1.5), s.count("rate", 1000)
	t, err := l.target(ctx)
	if err != nil {
		return err
	}
	l.say("control: %d honest nodes, for %s", len(honest), length)
	g := startGauge(ctx, honest)
	if err := rest(ctx, 2*length); err != nil {
		return err
	}
	control := g.stop()
	offenders := map[string]string{} // by peer id
	under := map[string]load{}
	for _, w := range waves {
		if w.rate == 0 {
			w.rate = rate
		}
		loads, id, err := l.wave(ctx, t, honest, w, length)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		offenders[id.String()] = w.name
		for name, x := range loads {
			sum := under[name]
			under[name] = load{cpu: sum.cpu + x.cpu, wall: sum.wall + x.wall, rounds: sum.rounds + x.rounds, memory: max(sum.memory, x.memory)}
		}
	}
	l.compare(honest, control, under, limit)
	return l.graylists(ctx, honest, offenders)
}

// compare checks what the honest nodes took under attack against what they took before.
func (l *lab) compare(honest []*subject, control, under map[string]load, limit float64) {
	okCPU, okMemory, okRounds := true, true, true
	var cpu, memory, rounds []string
	for _, s := range honest {
		a, b := control[s.Name()], under[s.Name()]
		share, each := b.share()/max(a.share(), 1e-3), b.perRound()/max(a.perRound(), 1e-3)
		okCPU = okCPU && a.cpu > 0 && share <= limit // what a round takes is told, not judged: it is next to nothing on small models
		cpu = append(cpu, fmt.Sprintf("%s %.2fx of a core (%.2f after %.2f) and %.2fx a round (%.2f s after %.2f s)", s.Name(), share, b.share(), a.share(), each, b.perRound(), a.perRound()))
		grown := float64(b.memory) / max(float64(a.memory), 1)
		okMemory = okMemory && a.memory > 0 && grown <= limit
		memory = append(memory, fmt.Sprintf("%s %.2fx (%d MiB after %d)", s.Name(), grown, b.memory>>20, a.memory>>20))
		okRounds = okRounds && b.rounds > 0
		rounds = append(rounds, fmt.Sprintf("%s %d in %.0f s after %d in %.0f s", s.Name(), b.rounds, b.wall.Seconds(), a.rounds, a.wall.Seconds()))
	}
	l.record(Check{fmt.Sprintf("honest nodes stay, on average of the attacks, within %.2gx of their normal processor time", limit), okCPU, strings.Join(cpu, "; ")})
	l.record(Check{fmt.Sprintf("honest nodes stay within %.2gx of their normal memory", limit), okMemory, strings.Join(memory, "; ")})
	l.record(Check{"rounds go on under attack", okRounds, strings.Join(rounds, "; ")})
}

// wave lets one hostile member work, and checks that it ends on the gray list.
func (l *lab) wave(ctx context.Context, t *target, honest []*subject, w wave, length time.Duration) (map[string]load, peer.ID, error) {
	i, err := newIntruder()
	if err != nil {
		return nil, "", err
	}
	defer i.close()
	i.serves.Store(true)
	enemies, err := t.admittedByAll(ctx, i, honest)
	if err != nil {
		return nil, "", err
	}
	siege := &siege{intruder: i, topic: "/mlecs/" + t.federation.String(), federation: t.federation}
	if st, err := t.door.status(ctx); err == nil {
		siege.round = st.Round + 1
	}
	for _, id := range enemies {
		if err := i.subscribe(ctx, id, siege.topic); err != nil {
			return nil, "", fmt.Errorf("subscribe: %w", err)
		}
	}
	if err := until(ctx, time.Minute, func() bool { return i.delta() != nil }); err != nil {
		return nil, "", fmt.Errorf("no delta was gossiped to the hostile member: %w", err)
	}
	if err := siege.prepare(w, len(enemies)); err != nil {
		return nil, "", err
	}
	l.say("%s: %d a second to each of %d nodes, for %s", w.name, w.rate, len(enemies), length)
	g := startGauge(ctx, honest)
	sent, failed := siege.attack(ctx, enemies, w, length)
	loads := g.stop()
	return loads, i.id, l.grayed(ctx, honest, i, w, sent, failed)
}

// admittedByAll makes an intruder a member that is connected to every honest node.
func (t *target) admittedByAll(ctx context.Context, i *intruder, honest []*subject) ([]peer.ID, error) {
	if err := t.admitted(ctx, i); err != nil {
		return nil, err
	}
	ids := []peer.ID{t.id}
	for _, s := range honest {
		st, err := s.status(ctx)
		if err != nil {
			return nil, err
		}
		if st.PeerID == t.id.String() {
			continue
		}
		at := slices.IndexFunc(st.Addrs, func(a string) bool { return strings.Contains(a, "/tcp/") })
		if at < 0 {
			return nil, fmt.Errorf("%s listens on no TCP address", s.Name())
		}
		id, err := i.dial(ctx, st.Addrs[at])
		if err != nil {
			return nil, err
		}
		refused, err := i.hello(ctx, id, t.federation, i.chain)
		if err != nil || refused != "" {
			return nil, fmt.Errorf("%s did not let the member in: %s %w", s.Name(), refused, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// attack sends to all nodes at once, at a rate, and counts what went out and what the nodes would not take.
func (w *siege) attack(ctx context.Context, enemies []peer.ID, kind wave, length time.Duration) (sent, failed int64) {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var out, lost atomic.Int64
	var wait sync.WaitGroup
	for _, id := range enemies {
		wait.Go(func() {
			const beat = 20 * time.Millisecond
			tick := time.NewTicker(beat)
			defer tick.Stop()
			due := 0.0
			for {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
				for due += float64(kind.rate) * beat.Seconds(); due >= 1 && ctx.Err() == nil; due-- {
					frame, err := kind.make(w)
					if err == nil {
						err = w.rawGossip(ctx, id, frame)
					}
					if err != nil {
						lost.Add(1)
						due = 1 // no use to catch up with a node that does not listen
						continue
					}
					out.Add(1)
				}
			}
		})
	}
	wait.Wait()
	return out.Load(), lost.Load()
}

// grayed checks who has the offender on its gray list.
func (l *lab) grayed(ctx context.Context, honest []*subject, i *intruder, w wave, sent, failed int64) error {
	var gray, tolerant []string
	err := until(ctx, 20*time.Second, func() bool { // what was sent may still be under way
		gray, tolerant = nil, nil
		for _, s := range honest {
			if of := peerOf(ctx, s, i.id.String()); of.Gray {
				gray = append(gray, s.Name())
			} else {
				tolerant = append(tolerant, fmt.Sprintf("%s (faults %.0f)", s.Name(), of.Faults))
			}
		}
		return len(tolerant) == 0 || !w.all && len(gray) > 0
	})
	if err != nil && !errors.Is(err, errLate) {
		return err
	}
	detail := fmt.Sprintf("%d sent, %d not taken; on the gray list of %s", sent, failed, strings.Join(gray, ", "))
	if len(tolerant) > 0 {
		detail += "; not on that of " + strings.Join(tolerant, ", ")
	}
	l.record(Check{"graylisted: " + w.name, err == nil && sent > 0, detail})
	return nil
}

func peerOf(ctx context.Context, s *subject, id string) (of api.Peer) {
	peers, err := ask(ctx, s, func(ctx context.Context, c *api.Client) ([]api.Peer, error) { return c.Peers(ctx) })
	if err != nil {
		return of
	}
	if at := slices.IndexFunc(peers, func(p api.Peer) bool { return p.PeerID == id }); at >= 0 {
		return peers[at]
	}
	return of
}

// graylists checks that no honest node has another one on its gray list.
func (l *lab) graylists(ctx context.Context, honest []*subject, offenders map[string]string) error {
	var wrong []string
	most := 0.0
	for _, s := range honest {
		peers, err := ask(ctx, s, func(ctx context.Context, c *api.Client) ([]api.Peer, error) { return c.Peers(ctx) })
		if err != nil {
			return err
		}
		for _, p := range peers {
			if _, bad := offenders[p.PeerID]; bad {
				continue
			}
			most = max(most, p.Faults)
			if p.Gray {
				wrong = append(wrong, fmt.Sprintf("%s on that of %s", p.Name, s.Name()))
			}
		}
	}
	detail := fmt.Sprintf("on no gray list of %d nodes; the most faults that one counts of another are %.0f of 200", len(honest), most)
	if len(wrong) > 0 {
		detail = strings.Join(wrong, "; ")
	}
	l.record(Check{"no honest peer is graylisted", len(wrong) == 0, detail})
	return nil
}

// prepare signs what a flood needs, since the attacker's time is not what is measured: all that a node hears before it has enough.
func (w *siege) prepare(kind wave, nodes int) error {
	if kind.name != "a flood of records" {
		return nil
	}
	const enough = 1000 // more than an author's quota of a round and the faults that put it on the gray list
	for range enough * nodes {
		r, err := sign(w.intruder, w.federation, &record.Delta{Round: w.round, Base: w.federation, Modalities: []string{"sensor"}, Rows: 1}, w.federation)
		if err != nil {
			return err
		}
		w.prepared = append(w.prepared, r)
	}
	return nil
}

// frame is an RPC of GossipSub with one message.
func (w *siege) frame(m *pb.Message) ([]byte, error) {
	b, err := encodeRPC(m)
	if err != nil {
		return nil, err
	}
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...), nil
}

// badSignature sends a record whose signature is wrong, in a message whose own signature is right, and the other way round.
func (w *siege) badSignature() ([]byte, error) {
	r, err := sign(w.intruder, w.federation, &record.Delta{Round: w.round, Base: w.federation, Modalities: []string{"sensor"}, Rows: 1}, w.federation)
	if err != nil {
		return nil, err
	}
	data := slices.Clone(r.Envelope)
	odd := w.next.Add(1)%2 == 1
	if odd {
		data[len(data)-1] ^= 1
	}
	m, err := w.message(w.topic, data)
	if err != nil {
		return nil, err
	}
	if !odd {
		m.Signature[0] ^= 1
	}
	return w.frame(m)
}

// wrongCID announces blobs that look as those of an honest delta do, and serves other bytes under their names.
func (w *siege) wrongCID() ([]byte, error) {
	model, err := record.BodyAs[record.Delta](w.delta())
	if err != nil {
		return nil, err
	}
	body := *model
	body.Components = slices.Clone(model.Components)
	body.Round = max(w.round, model.Round)
	for k := range body.Components {
		body.Components[k].Blob.CID = madeUp()
		w.promise(body.Components[k].Blob)
	}
	r, err := sign(w.intruder, w.federation, &body, w.delta().Parents...)
	if err != nil {
		return nil, err
	}
	m, err := w.message(w.topic, r.Envelope)
	if err != nil {
		return nil, err
	}
	return w.frame(m)
}

// madeUp is a CID of nothing.
func madeUp() cid.Cid {
	digest := make([]byte, 32)
	rand.Read(digest)
	sum, err := multihash.Encode(digest, multihash.SHA2_256)
	if err != nil {
		panic(err) // a known hash
	}
	return cid.NewCidV1(cid.Raw, sum)
}

// oversize sends a message that is twice as large as any may be.
func (w *siege) oversize() ([]byte, error) {
	m, err := w.message(w.topic, make([]byte, 2*record.MaxSize))
	if err != nil {
		return nil, err
	}
	return w.frame(m)
}

// replay sends what honest members have sent, over and over.
func (w *siege) replay() ([]byte, error) {
	w.mu.Lock()
	m := w.gossip[int(w.next.Add(1))%len(w.gossip)]
	w.mu.Unlock()
	return w.frame(m)
}

// flood sends records of its own that are all valid.
func (w *siege) flood() ([]byte, error) {
	m, err := w.message(w.topic, w.prepared[int(w.next.Add(1))%len(w.prepared)].Envelope)
	if err != nil {
		return nil, err
	}
	return w.frame(m)
}
