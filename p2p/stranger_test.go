package p2p_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ipfs/go-cid"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/mlecs/mlecs/storage/record"
)

// A stranger knows everything that is not secret: addresses, protocols, even the topic's name.
func TestStrangerGetsNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	edge := f.start("edge", record.RoleEdge, super)
	edge.awaitConnected(super)
	known := super.publish(1)
	edge.awaitRecord(known)
	blob := must[record.Blob](t)(super.store.PutBlobBytes([]byte("tensor")))

	h := rawHost(t, keyOf(t, "stranger"))
	var opened atomic.Int64 // streams that members open to the stranger
	for _, name := range []protocol.ID{"/mlecs/hello/1", "/mlecs/blob/1", "/mlecs/piece/1", "/mlecs/sync/1"} {
		h.SetStreamHandler(name, func(s network.Stream) { opened.Add(1); s.Reset() })
	}
	ps := must[*pubsub.PubSub](t)(pubsub.NewGossipSub(t.Context(), h))
	topic := must[*pubsub.Topic](t)(ps.Join("/mlecs/" + f.id.String()))
	sub := must[*pubsub.Subscription](t)(topic.Subscribe())
	heard := make(chan *pubsub.Message, 1)
	go func() {
		for {
			m, err := sub.Next(t.Context())
			if err != nil {
				return
			}
			if m.GetFrom() != h.ID() {
				heard <- m
			}
		}
	}()
	dial(t, h, super)
	s := open(t, h, super.ID(), "/mlecs/blob/1")
	send(t, s, struct {
		CID    cid.Cid `cbor:"cid"`
		Offset int64   `cbor:"offset"`
	}{CID: blob.CID})
	silent(t, s) // not even that the blob is absent
	for _, name := range []string{"/mlecs/blob/1", "/mlecs/piece/1", "/mlecs/sync/1", "/meshsub/1.2.0", "/meshsub/1.1.0", "/floodsub/1.0.0"} {
		s := open(t, h, super.ID(), name)
		s.Write(append([]byte{byte(len(blob.CID.Bytes()))}, blob.CID.Bytes()...)) // whatever: it must not be read
		s.CloseWrite()
		silent(t, s)
	}
	if err := topic.Publish(context.Background(), known.Envelope); err != nil {
		t.Fatal(err)
	}
	secret := super.publish(2)
	edge.awaitRecord(secret)

	eventually(t, "the stranger is disconnected", func() bool {
		_, logged := super.log.line("level=WARN", "peer refused", h.ID().String(), "membership not proved within 5s")
		return logged && gone(h, super.ID())
	})
	select {
	case m := <-heard:
		t.Errorf("the stranger heard %v", m)
	default:
	}
	if peers := topic.ListPeers(); len(peers) > 0 {
		t.Errorf("the stranger was told that %v subscribe to the topic", peers)
	}
	if n := opened.Load(); n > 0 {
		t.Errorf("members opened %d streams to the stranger", n)
	}
	if len(super.Peers()) != 1 || super.Traffic().RefusedPeers != 1 {
		t.Errorf("peers %v, traffic %+v", super.Peers(), super.Traffic())
	}
	// What libp2p's identify tells anyone.
	protocols := must[[]protocol.ID](t)(h.Peerstore().GetProtocols(super.ID()))
	agent, _ := h.Peerstore().Get(super.ID(), "AgentVersion")
	for _, p := range append(protocols, protocol.ID(agent.(string))) {
		if strings.Contains(string(p), f.id.String()) || strings.Contains(string(p), "homes") {
			t.Errorf("identify gives the federation away: %s", p)
		}
	}
}

func TestInvalidGossipIsRejectedAndCounted(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	rogue := f.prepare("rogue", record.RoleEdge) // a member by certificate, with software of its own
	h := rawHost(t, rogue.key)
	ps := must[*pubsub.PubSub](t)(pubsub.NewGossipSub(t.Context(), h))
	topic := must[*pubsub.Topic](t)(ps.Join("/mlecs/" + f.id.String()))
	dial(t, h, super)
	s, reply := hello(t, h, super.ID(), helloRequest{Federation: f.id, Chain: envelopes(rogue.proof...)})
	if reply.Refused != "" {
		t.Fatal(reply.Refused)
	}
	send(t, s, helloDone{OK: true})
	eventually(t, "subscribed", func() bool { return len(topic.ListPeers()) == 1 })

	valid := sign(t, rogue.key, f.id, 1, &record.Delta{Base: f.id, Modalities: []string{"accel"}})
	publish := func(b []byte) {
		t.Helper()
		if err := topic.Publish(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	publish(valid.Envelope)
	super.awaitRecord(valid)
	for i, c := range []struct {
		name   string
		bytes  []byte
		reason string
	}{
		{"no record", []byte("garbage"), "envelope"},
		{"an aggregate by an edge", sign(t, rogue.key, f.id, 2, &record.Aggregate{Round: 1}).Envelope, "role edge may not publish"},
		{"a record of another federation", sign(t, rogue.key, valid.CID, 2, &record.Delta{Base: f.id, Modalities: []string{"accel"}}).Envelope, "another federation"},
		{"a second record under one sequence number", sign(t, rogue.key, f.id, 1, &record.Delta{Round: 7, Base: f.id, Modalities: []string{"accel"}}).Envelope, "same sequence number"},
	} {
		publish(c.bytes)
		eventually(t, c.name+" is rejected", func() bool {
			_, logged := super.log.line("level=WARN", "record rejected", h.ID().String(), c.reason)
			return logged && super.Traffic().RejectedRecords == int64(i+1)
		})
	}
	if got := super.received(record.KindDelta); len(got) != 1 {
		t.Errorf("subscribers got %d deltas, want the valid one", len(got))
	}
}

func policy() *record.Policy {
	return &record.Policy{Round: record.RoundPolicy{Quorum: 1, Deadline: 120_000}, Steps: record.Steps{AMT: 1, Cloud: 1}, Paused: true}
}

// TestPolicyIsTheFoundersAlone: no member can publish one, nor bring it in by sync, and the founder's reaches all members, whoever publishes it.
func TestPolicyIsTheFoundersAlone(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	edge := f.prepare("edge", record.RoleEdge, super)
	edge.open()
	forged := sign(t, edge.key, f.id, 1, policy())
	must[bool](t)(edge.store.PutRecord(forged)) // as software of its own would
	edge.serve()
	edge.awaitConnected(super)
	eventually(t, "the edge's policy is refused", func() bool {
		_, logged := super.log.line("level=WARN", "record rejected", edge.ID().String(), "only the federation's founder")
		return logged && !super.has(forged)
	})
	for who, key := range map[string]crypto.PrivKey{"a super-peer": super.key, "an edge": edge.key, "a stranger": keyOf(t, "stranger")} {
		if err := super.Publish(t.Context(), sign(t, key, f.id, 1, policy())); err == nil || !strings.Contains(err.Error(), "only the federation's founder") {
			t.Errorf("the policy of %s: %v", who, err)
		}
	}
	mine := sign(t, f.key, f.id, must[uint64](t)(f.store.NextSeq(idOf(t, f.key)))+100, policy(), f.id)
	if err := super.Publish(t.Context(), mine); err != nil {
		t.Fatal(err)
	}
	edge.awaitRecord(mine)
}
