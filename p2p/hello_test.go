package p2p_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// applicant knocks at a federation's door.
type applicant struct {
	t    testing.TB
	f    *federation
	key  crypto.PrivKey
	soon int64 // an hour from now
}

func (a *applicant) founderSigns(c record.Certificate) *record.Signed {
	return sign(a.t, a.f.key, a.f.id, 40, &c)
}

// invite makes an invite for a role and its key.
func (a *applicant) invite(name string, role record.Role, expires int64) (*record.Signed, crypto.PrivKey) {
	key := keyOf(a.t, name)
	return a.founderSigns(record.Certificate{Subject: idOf(a.t, key), Role: role, Invite: true, Expires: expires}), key
}

func TestHelloRefusesBadProofs(t *testing.T) {
	f := found(t, "homes")
	other := found(t, "others")
	super := f.start("super", record.RoleSuper)

	for _, c := range []struct {
		name   string
		proof  func(a *applicant) [][]byte
		reason string
	}{
		{"no certificate", func(a *applicant) [][]byte { return [][]byte{} }, "no certificate presented"},
		{"expired", func(a *applicant) [][]byte {
			return envelopes(a.founderSigns(record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: 1_700_000_000}))
		}, "certificate expired on 2023-11-14T22:13:20Z"},
		{"forged: signed by itself", func(a *applicant) [][]byte {
			return envelopes(sign(a.t, a.key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon}))
		}, "certificate is not signed by the federation's founder"},
		{"forged: signed by another founder in this federation's name", func(a *applicant) [][]byte {
			return envelopes(sign(a.t, other.key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon}, f.id))
		}, "certificate is not signed by the federation's founder"},
		{"forged: signature of another record", func(a *applicant) [][]byte {
			e := bytes.Clone(a.founderSigns(record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon}).Envelope)
			e[len(e)-1] ^= 1
			return [][]byte{e}
		}, "certificate is damaged or forged"},
		{"another peer's", func(a *applicant) [][]byte { return envelopes(super.proof...) }, "certificate is for another peer"},
		{"of another federation", func(a *applicant) [][]byte {
			return envelopes(sign(a.t, other.key, other.id, 2, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon}))
		}, "certificate belongs to another federation"},
		{"an invite itself", func(a *applicant) [][]byte {
			return envelopes(a.founderSigns(record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Invite: true, Expires: a.soon}))
		}, "certificate is for another peer"},
		{"invite expired", func(a *applicant) [][]byte {
			invite, key := a.invite("invite expired", record.RoleEdge, 1_700_000_000)
			return envelopes(invite, sign(a.t, key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: 1_700_000_000}, invite.CID))
		}, "certificate expired"},
		{"role above the invite's", func(a *applicant) [][]byte {
			invite, key := a.invite("invite for an edge", record.RoleEdge, a.soon)
			return envelopes(invite, sign(a.t, key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleSuper, Expires: a.soon}, invite.CID))
		}, "certificate claims role super, the invite is for edge"},
		{"outlives its invite", func(a *applicant) [][]byte {
			invite, key := a.invite("invite for an hour", record.RoleEdge, a.soon)
			return envelopes(invite, sign(a.t, key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon + 1}, invite.CID))
		}, "certificate outlives its invite"},
		{"second from one invite", func(a *applicant) [][]byte {
			invite, key := a.invite("invite that signs on", record.RoleEdge, a.soon)
			return envelopes(invite, sign(a.t, key, f.id, 2, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon}, invite.CID))
		}, "an invite signs one certificate"},
		{"invite from an invite", func(a *applicant) [][]byte {
			invite, key := a.invite("invite that invites", record.RoleEdge, a.soon)
			return envelopes(invite, sign(a.t, key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Invite: true, Expires: a.soon}, invite.CID))
		}, "an invite cannot issue further invites"},
		{"signed by another invite than it names", func(a *applicant) [][]byte {
			invite, _ := a.invite("invite named", record.RoleEdge, a.soon)
			_, key := a.invite("invite used", record.RoleEdge, a.soon)
			return envelopes(invite, sign(a.t, key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon}, invite.CID))
		}, "certificate is not signed by the invite it names"},
		{"signed by a member", func(a *applicant) [][]byte {
			return envelopes(super.proof[0], sign(a.t, super.key, f.id, 1, &record.Certificate{Subject: idOf(a.t, a.key), Role: record.RoleEdge, Expires: a.soon}, super.proof[0].CID))
		}, "certificate is not signed by the invite it names"},
		{"chain too long", func(a *applicant) [][]byte {
			return envelopes(slices.Repeat(super.proof[:1], 9)...)
		}, "certificate chain of 9 records"},
		{"not a certificate", func(a *applicant) [][]byte { return envelopes(f.genesis) }, "certificate belongs to another federation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := &applicant{t, f, keyOf(t, "applicant"), time.Now().Add(time.Hour).Unix()}
			h := rawHost(t, a.key)
			dial(t, h, super)
			before := super.Traffic().RefusedPeers
			_, reply := hello(t, h, super.ID(), helloRequest{Federation: f.id, Chain: c.proof(a), WantGenesis: true})
			if !strings.HasPrefix(reply.Refused, c.reason) {
				t.Errorf("told %q, want %q", reply.Refused, c.reason)
			}
			if len(reply.Chain)+len(reply.Genesis)+len(reply.Peers) != 0 {
				t.Error("a refusal must give nothing away")
			}
			eventually(t, "disconnected", func() bool { return gone(h, super.ID()) })
			line, ok := super.log.line("level=WARN", "peer refused", h.ID().String(), "reason=", c.reason)
			if !ok {
				t.Error("the refusal is not logged with peer and reason")
			}
			t.Log(strings.TrimSpace(line))
			if got := super.Traffic().RefusedPeers; got != before+1 {
				t.Errorf("refused peers went from %d to %d", before, got)
			}
			if _, ok := super.Member(h.ID()); ok {
				t.Error("it is a member")
			}
		})
	}

	t.Run("wrong federation", func(t *testing.T) {
		h := rawHost(t, keyOf(t, "stray"))
		dial(t, h, super)
		_, reply := hello(t, h, super.ID(), helloRequest{Federation: other.id, Chain: [][]byte{}, WantGenesis: true})
		if reply.Refused != "not a member of this federation" || len(reply.Genesis) != 0 {
			t.Errorf("got %+v", reply)
		}
		eventually(t, "disconnected", func() bool { return gone(h, super.ID()) })
	})
}

func TestHelloAdmitsAMember(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	friend := f.start("friend", record.RoleEdge, super)
	friend.awaitConnected(super)
	a := &applicant{t, f, keyOf(t, "applicant"), time.Now().Add(time.Hour).Unix()}
	invite, key := a.invite("invite", record.RoleEdge, a.soon)
	cert := sign(t, key, f.id, 1, &record.Certificate{Subject: idOf(t, a.key), Name: "new", Role: record.RoleEdge, Expires: a.soon}, invite.CID)
	h := rawHost(t, a.key)
	dial(t, h, super)
	s, reply := hello(t, h, super.ID(), helloRequest{Federation: f.id, Chain: envelopes(invite, cert), WantGenesis: true})
	if reply.Refused != "" {
		t.Fatal(reply.Refused)
	}
	if !bytes.Equal(reply.Genesis, f.genesis.Envelope) || len(reply.Chain) != 1 || !bytes.Equal(reply.Chain[0], super.proof[0].Envelope) {
		t.Error("genesis and the listener's chain are not what was published")
	}
	if !slices.ContainsFunc(reply.Peers, func(i introduction) bool { return i.ID == friend.ID() && len(i.Addrs) > 0 }) {
		t.Errorf("introduced %v, want friend", reply.Peers)
	}
	if m, ok := super.Member(h.ID()); !ok || m.Connected || m.Name != "new" || m.Certificate != cert.CID {
		t.Errorf("before the exchange is concluded the member is %+v", m)
	}
	send(t, s, helloDone{OK: true})
	eventually(t, "the new member is connected", func() bool { m, _ := super.Member(h.ID()); return m.Connected })
	friend.awaitRecord(cert) // others hear of the new member by gossip
}

// A killed process does not close its connections; when it comes back, the others must let go of the old ones.
func TestReturningMemberReplacesItsOldConnection(t *testing.T) {
	t.Parallel() // it mostly waits
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	edge := f.prepare("edge", record.RoleEdge)
	arrive := func() host.Host {
		h := rawHost(t, edge.key)
		dial(t, h, super)
		s, reply := hello(t, h, super.ID(), helloRequest{Federation: f.id, Chain: envelopes(edge.proof...)})
		if reply.Refused != "" {
			t.Fatal(reply.Refused)
		}
		send(t, s, helloDone{OK: true})
		return h
	}
	before := arrive()
	opened := time.Now()
	eventually(t, "the old connection is old enough", func() bool { return time.Since(opened) > 3*time.Second })
	after := arrive()
	eventually(t, "the old connection is closed", func() bool { return gone(before, super.ID()) })
	if m, ok := super.Member(idOf(t, edge.key)); !ok || !m.Connected || gone(after, super.ID()) {
		t.Errorf("the member that returned is %+v", m)
	}
}

func TestDiallerRefusesAListenerThatIsNoMember(t *testing.T) {
	f := found(t, "homes")
	impostor := rawHost(t, keyOf(t, "impostor"))
	impostor.SetStreamHandler(helloProtocol, func(s network.Stream) {
		defer s.Close()
		var req helloRequest
		receive(t, s, &req)
		forged := sign(t, keyOf(t, "nobody"), f.id, 1, &record.Certificate{Subject: impostor.ID(), Role: record.RoleSuper, Expires: time.Now().Add(time.Hour).Unix()})
		send(t, s, helloReply{Chain: envelopes(forged), Genesis: []byte{}, Peers: []introduction{}})
	})
	edge := f.prepare("edge", record.RoleEdge)
	edge.cfg.Bootstrap = []string{impostor.Addrs()[0].String() + "/p2p/" + impostor.ID().String()}
	edge.start()
	eventually(t, "the refusal is logged", func() bool {
		_, ok := edge.log.line("level=WARN", "peer refused", impostor.ID().String(), "certificate is not signed by the federation's founder")
		return ok
	})
	eventually(t, "disconnected", func() bool { return gone(impostor, edge.ID()) })
}

func TestInviteIsSingleUse(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	a := &applicant{t, f, nil, time.Now().Add(time.Hour).Unix()}
	invite, key := a.invite("invite", record.RoleEdge, a.soon)
	type joiner struct {
		key  crypto.PrivKey
		cert *record.Signed
	}
	var joiners []joiner
	for _, name := range []string{"a", "b", "c"} {
		k := keyOf(t, name)
		joiners = append(joiners, joiner{k, sign(t, key, f.id, 1, &record.Certificate{Subject: idOf(t, k), Name: name, Role: record.RoleEdge, Expires: a.soon}, invite.CID)})
	}
	// Whatever their order, so that nobody can displace a member by making a certificate with a suitable CID.
	slices.SortFunc(joiners, func(x, y joiner) int { return bytes.Compare(x.cert.CID.Bytes(), y.cert.CID.Bytes()) })
	low, middle, high := joiners[0], joiners[1], joiners[2]
	knock := func(j joiner) helloReply {
		h := rawHost(t, j.key)
		dial(t, h, super)
		_, reply := hello(t, h, super.ID(), helloRequest{Federation: f.id, Chain: envelopes(invite, j.cert)})
		return reply
	}
	if reply := knock(middle); reply.Refused != "" {
		t.Fatalf("first use: %s", reply.Refused)
	}
	for name, other := range map[string]joiner{"lower CID": low, "higher CID": high} {
		if reply := knock(other); reply.Refused != "invite was already used by another peer" {
			t.Errorf("second use, %s: %q", name, reply.Refused)
		}
	}
	if _, ok := super.Member(idOf(t, middle.key)); !ok {
		t.Error("the first peer is no member any more")
	}
	again := sign(t, key, f.id, 1, &record.Certificate{Subject: idOf(t, middle.key), Name: "again", Role: record.RoleEdge, Expires: a.soon}, invite.CID)
	if reply := knock(joiner{middle.key, again}); reply.Refused != "" {
		t.Errorf("the first peer, after an interrupted join: %s", reply.Refused)
	}
}

func TestRevocationCutsLiveConnections(t *testing.T) {
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	good, bad := f.start("good", record.RoleEdge, super), f.start("bad", record.RoleEdge, super)
	good.awaitConnected(super, bad)
	bad.awaitConnected(super)
	revocation := must[*record.Signed](t)(p2p.Revoke(f.store, f.key, f.id, bad.proof[0].CID, "lost"))
	if err := super.Publish(t.Context(), revocation); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{super, good} {
		eventually(t, n.name+" cuts the revoked peer", func() bool {
			_, logged := n.log.line("level=WARN", "peer refused", bad.ID().String(), "certificate revoked on")
			return logged && !n.connected(bad)
		})
		if _, ok := n.Member(bad.ID()); ok {
			t.Errorf("%s still counts it as a member", n.name)
		}
	}
	after := super.publish(1)
	good.awaitRecord(after)
	if bad.has(after) {
		t.Error("the revoked peer got a record")
	}
}

func TestCertificateThatExpiresCutsLiveConnections(t *testing.T) {
	t.Parallel() // it mostly waits
	f := found(t, "homes")
	super := f.start("super", record.RoleSuper)
	edge := f.prepare("edge", record.RoleEdge, super)
	edge.proof = []*record.Signed{must[*record.Signed](t)(p2p.Certify(f.store, f.key, f.id, idOf(t, edge.key), "edge", record.RoleEdge, time.Now().Add(4*time.Second)))}
	edge.start()
	edge.awaitConnected(super)
	eventually(t, "the connection is cut", func() bool {
		_, logged := super.log.line("level=WARN", "peer refused", edge.ID().String(), "certificate expired on")
		return logged && !super.connected(edge)
	})
	eventually(t, "the edge says so", func() bool {
		_, logged := edge.log.line("level=ERROR", "no longer a member", "certificate expired")
		return logged
	})
	edge.stop()
	edge.store = openStore(t, edge.home)
	_, err := p2p.New(edge.cfg, p2p.Deps{Key: edge.key, Store: edge.store, Federation: f.id, Proof: edge.proof})
	if err == nil || !strings.Contains(err.Error(), "certificate expired on") {
		t.Errorf("New with an expired certificate: %v", err)
	}
}

func TestNewNeedsGenesis(t *testing.T) {
	_, err := p2p.New(p2p.Config{Listen: []string{"/ip4/127.0.0.1/tcp/0"}}, p2p.Deps{
		Key: keyOf(t, "node"), Store: openStore(t, t.TempDir()), Federation: record.PayloadCID([]byte("x")),
	})
	if err == nil || !strings.Contains(err.Error(), "mlecs join") {
		t.Errorf("got %v", err)
	}
}
