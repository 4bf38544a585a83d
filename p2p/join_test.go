package p2p_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

func (f *federation) invite(role record.Role, bootstrap ...string) p2p.Token {
	f.t.Helper()
	return must[p2p.Token](f.t)(p2p.NewInvite(f.store, f.key, f.id, role, time.Now().Add(time.Hour), bootstrap))
}

func TestJoinWithNothingButAToken(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	token := must[p2p.Token](t)(p2p.ParseToken(f.invite(record.RoleEdge, super.Addrs()...).String()))

	key := keyOf(t, "newcomer")
	store := openStore(t, t.TempDir())
	chain := must[[]*record.Signed](t)(p2p.Join(t.Context(), key, "newcomer", store, token, nil))
	again := must[[]*record.Signed](t)(p2p.Join(t.Context(), key, "renamed", store, token, nil))
	if len(chain) != 2 || len(again) != 2 || chain[1].CID != again[1].CID {
		t.Error("joining again must use the certificate of the first time: an invite signs one")
	}

	n, err := p2p.New(p2p.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Bootstrap: token.Bootstrap},
		p2p.Deps{Key: key, Store: store, Federation: token.Federation, Proof: chain})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Serve(ctx) }()
	eventually(t, "the newcomer is connected", func() bool {
		there, _ := super.Member(n.ID())
		here, _ := n.Member(super.ID())
		return there.Connected && here.Connected && there.Name == "newcomer" && there.Role == record.RoleEdge
	})
	if genesis := must[*record.Federation](t)(n.Genesis()); genesis.Name != "homes" {
		t.Errorf("genesis %+v", genesis)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	store.Close()
}

func TestJoinSaysWhatEachBootstrapPeerSaid(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	other := found(t, "others").start("stranger", record.RoleSuper)
	liar := rawHost(t, keyOf(t, "liar"))
	liar.SetStreamHandler(helloProtocol, func(s network.Stream) {
		defer s.Close()
		var req helloRequest
		receive(t, s, &req)
		send(t, s, helloReply{Chain: envelopes(other.proof...), Genesis: other.f.genesis.Envelope, Peers: []introduction{}})
	})
	liarAddr := liar.Addrs()[0].String() + "/p2p/" + liar.ID().String()

	gone := "/ip4/127.0.0.1/tcp/1/p2p/" + idOf(t, keyOf(t, "gone")).String()
	store := openStore(t, t.TempDir())
	_, err := p2p.Join(t.Context(), keyOf(t, "newcomer"), "newcomer", store, f.invite(record.RoleEdge, gone, other.Addrs()[0], liarAddr), nil)
	if err == nil {
		t.Fatal("joined")
	}
	for _, want := range []string{
		idOf(t, keyOf(t, "gone")).String() + " at /ip4/127.0.0.1/tcp/1: not reached",
		other.ID().String() + " at " + strings.Split(other.Addrs()[0], "/p2p/")[0] + ": refused: not a member of this federation",
		liar.ID().String() + " at " + strings.Split(liarAddr, "/p2p/")[0] + ": it sent genesis " + other.f.id.String(),
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error\n%v\nlacks %q", err, want)
		}
	}
	if store.HasRecord(f.id) || store.HasRecord(other.f.id) {
		t.Error("a failed join left a genesis behind")
	}

	token := f.invite(record.RoleEdge, super.Addrs()...)
	invited := must[peer.ID](t)(peer.IDFromPrivateKey(token.Key))
	for s, err := range f.store.Records(record.KindCertificate) {
		if body, e := record.BodyAs[record.Certificate](s); err == nil && e == nil && body.Subject == invited {
			if err := super.Publish(t.Context(), must[*record.Signed](t)(p2p.Revoke(f.store, f.key, f.id, s.CID, "leaked"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, err = p2p.Join(t.Context(), keyOf(t, "late"), "late", store, token, nil)
	if err == nil || !strings.Contains(err.Error(), "refused: certificate revoked on") {
		t.Errorf("with a revoked invite: %v", err)
	}
}
