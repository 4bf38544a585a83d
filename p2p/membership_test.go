package p2p

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/storage/record"
)

// day0 is when the sample federation begins; ends of certificates are given in days after it.
var day0 = time.Unix(1_800_000_000, 0)

func day(n int) time.Time { return day0.Add(time.Duration(n) * 24 * time.Hour) }

// cast is the roster of a sample federation with the keys of everybody in it.
type cast struct {
	t       testing.TB
	clock   *clock
	roster  *roster
	founder crypto.PrivKey
}

func newCast(t testing.TB) *cast {
	t.Helper()
	c := &cast{t: t, clock: &clock{day(1)}}
	c.founder = c.key("founder")
	genesis := c.sign(c.founder, cid.Undef, 1, day(0), &record.Federation{Name: "homes", Founder: c.id("founder")})
	roster, err := newRoster(genesis, c.clock.now)
	if err != nil {
		t.Fatal(err)
	}
	c.roster = roster
	return c
}

func (c *cast) key(name string) crypto.PrivKey {
	c.t.Helper()
	seed := sha256.Sum256([]byte(name))
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(seed[:]))
	if err != nil {
		c.t.Fatal(err)
	}
	return key
}

func (c *cast) id(name string) peer.ID {
	c.t.Helper()
	id, err := peer.IDFromPrivateKey(c.key(name))
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

func (c *cast) sign(key crypto.PrivKey, federation cid.Cid, seq uint64, at time.Time, body any, parents ...cid.Cid) *record.Signed {
	c.t.Helper()
	var s *record.Signed
	var err error
	switch b := body.(type) {
	case *record.Federation:
		s, err = signBody(key, federation, seq, parents, at, b)
	case *record.Certificate:
		s, err = signBody(key, federation, seq, parents, at, b)
	case *record.Revocation:
		s, err = signBody(key, federation, seq, parents, at, b)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// member is a certificate by the founder.
func (c *cast) member(name string, role record.Role, ends time.Time) *record.Signed {
	return c.sign(c.founder, c.roster.federation, 2, day(0), &record.Certificate{Subject: c.id(name), Name: name, Role: role, Expires: ends.Unix()})
}

func (c *cast) invite(name string, ends time.Time) *record.Signed {
	return c.sign(c.founder, c.roster.federation, 2, day(0), &record.Certificate{Subject: c.id(name), Role: record.RoleEdge, Invite: true, Expires: ends.Unix()})
}

// invited is a certificate by an invite.
func (c *cast) invited(name string, invite string, parent *record.Signed, ends time.Time) *record.Signed {
	return c.sign(c.key(invite), c.roster.federation, 1, day(0), &record.Certificate{Subject: c.id(name), Name: name, Role: record.RoleEdge, Expires: ends.Unix()}, parent.CID)
}

func (c *cast) revoke(s *record.Signed, at time.Time) {
	c.t.Helper()
	if err := c.roster.revoke(c.sign(c.founder, c.roster.federation, 9, at, &record.Revocation{Certificate: s.CID})); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cast) add(all ...*record.Signed) {
	c.t.Helper()
	for _, s := range all {
		if err := c.roster.add(s); err != nil {
			c.t.Fatal(err)
		}
	}
}

func TestRosterKnowsMembersAsLongAsTheirCertificatesStand(t *testing.T) {
	c := newCast(t)
	invite := c.invite("invite", day(20))
	c.add(c.member("cloud", record.RoleSuper, day(30)), invite, c.invited("edge", "invite", invite, day(10)))
	names := func() string {
		var all []string
		for _, m := range c.roster.members() {
			all = append(all, m.body.Name+":"+string(m.body.Role))
		}
		slices.Sort(all) // members come in order of their ids
		return strings.Join(all, " ")
	}
	if got := names(); got != "cloud:super edge:edge" {
		t.Errorf("members: %s", got)
	}
	if _, err := c.roster.member(c.id("invite")); err == nil {
		t.Error("an invite is a member")
	}
	c.clock.at = day(10)
	if got := names(); got != "cloud:super" {
		t.Errorf("on the day the edge's certificate ends: %s", got)
	}
	c.add(c.member("edge", record.RoleEdge, day(25)))
	if got := names(); got != "cloud:super edge:edge" {
		t.Errorf("after the renewal: %s", got)
	}
	c.clock.at = day(40)
	if got := names(); got != "" {
		t.Errorf("after all have ended: %s", got)
	}
}

func TestRevokedInviteEndsWhatCameFromIt(t *testing.T) {
	c := newCast(t)
	invite := c.invite("invite", day(20))
	c.add(invite, c.invited("edge", "invite", invite, day(10)))
	c.revoke(invite, day(1))
	if _, err := c.roster.member(c.id("edge")); err == nil || err.Error() != "certificate revoked on "+day(1).UTC().Format(time.RFC3339) {
		t.Errorf("got %v", err)
	}
}

// A delegate admits members as the founder does, appoints no delegates, and revokes what came from it alone.
func TestDelegateInvitesAndRevokes(t *testing.T) {
	c := newCast(t)
	federation := c.roster.federation
	boss := c.sign(c.founder, federation, 2, day(0), &record.Certificate{Subject: c.id("boss"), Role: record.RoleSuper, Delegate: true, Expires: day(20).Unix()})
	c.add(boss)
	by := func(name string, seq uint64, body record.Certificate, parent *record.Signed) *record.Signed {
		return c.sign(c.key(name), federation, seq, day(1), &body, parent.CID)
	}
	invite := by("boss", 1, record.Certificate{Subject: c.id("invite"), Role: record.RoleEdge, Invite: true, Expires: day(10).Unix()}, boss)
	c.add(invite, c.invited("edge", "invite", invite, day(10)))
	if _, err := c.roster.member(c.id("edge")); err != nil {
		t.Fatalf("a delegate's invite: %v", err)
	}
	for _, x := range []struct {
		name string
		cert *record.Signed
		want string
	}{
		{"appoints a delegate", by("boss", 2, record.Certificate{Subject: c.id("x"), Role: record.RoleSuper, Delegate: true, Expires: day(5).Unix()}, boss), "cannot appoint"},
		{"outlives itself", by("boss", 2, record.Certificate{Subject: c.id("x"), Role: record.RoleEdge, Expires: day(21).Unix()}, boss), "outlives"},
		{"an edge issues", by("edge", 1, record.Certificate{Subject: c.id("x"), Role: record.RoleEdge, Expires: day(5).Unix()}, c.roster.bySubject[c.id("edge")][0].signed), "not signed by"},
	} {
		if err := c.roster.add(x.cert); !isRefusal(err) || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	other := c.member("other", record.RoleEdge, day(10))
	c.add(other)
	if err := c.roster.revoke(c.sign(c.key("boss"), federation, 3, day(1), &record.Revocation{Certificate: other.CID})); !isRefusal(err) {
		t.Errorf("a delegate revokes the founder's member: %v", err)
	}
	if err := c.roster.revoke(c.sign(c.key("boss"), federation, 3, day(1), &record.Revocation{Certificate: invite.CID})); err != nil {
		t.Errorf("a delegate revokes its own invite: %v", err)
	}
	if _, err := c.roster.member(c.id("edge")); err == nil {
		t.Error("a member in spite of the revoked invite")
	}
	late := by("boss", 4, record.Certificate{Subject: c.id("late"), Role: record.RoleEdge, Expires: day(10).Unix()}, boss)
	c.add(late)
	c.revoke(boss, day(1))
	if _, err := c.roster.member(c.id("late")); err == nil {
		t.Error("what came from a delegate outlives the delegate's revocation")
	}
}

func TestRevocationMayComeBeforeTheCertificate(t *testing.T) {
	c := newCast(t)
	cert := c.member("edge", record.RoleEdge, day(10))
	c.revoke(cert, day(0))
	c.add(cert)
	if _, err := c.roster.member(c.id("edge")); err == nil {
		t.Error("a member in spite of its revocation")
	}
	forged := c.sign(c.key("edge"), c.roster.federation, 1, day(0), &record.Revocation{Certificate: cert.CID})
	if err := c.roster.revoke(forged); !isRefusal(err) {
		t.Errorf("a revocation by a member: %v", err)
	}
}

// What a member wrote while it was one stays acceptable: nodes that sync later must end with the same records.
func TestAuthoriseLooksAtTheTimeOfWriting(t *testing.T) {
	c := newCast(t)
	revoked := c.member("revoked", record.RoleEdge, day(30))
	c.add(c.member("edge", record.RoleEdge, day(10)), c.member("cloud", record.RoleSuper, day(30)), revoked)
	c.revoke(revoked, day(5))
	c.clock.at = day(20)
	for _, x := range []struct {
		name, author string
		kind         record.Kind
		written      time.Time
		want         string // "" if allowed
	}{
		{"delta by an edge", "edge", record.KindDelta, day(9), ""},
		{"delta by a super-peer", "cloud", record.KindDelta, day(9), ""},
		{"aggregate by a super-peer", "cloud", record.KindAggregate, day(9), ""},
		{"aggregate by an edge", "edge", record.KindAggregate, day(9), "role edge may not publish records of kind aggregate"},
		{"a kind of the future", "edge", "vote", day(9), ""},
		{"after the end", "edge", record.KindDelta, day(10), "after its author's certificate had expired"},
		{"before the revocation", "revoked", record.KindDelta, day(4), ""},
		{"after the revocation", "revoked", record.KindDelta, day(5), "after its author's certificate was revoked"},
		{"nobody", "nobody", record.KindDelta, day(9), errUnknownAuthor.Error()},
		{"the founder's key is no member", "founder", record.KindDelta, day(9), errUnknownAuthor.Error()},
	} {
		t.Run(x.name, func(t *testing.T) {
			err := c.roster.authorise(&record.Record{Author: c.id(x.author), Kind: x.kind, Created: x.written.UnixMilli(), Seq: 3})
			if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
				t.Errorf("got %v, want %q", err, x.want)
			}
		})
	}
}

func TestCertificateOfAnUnknownInviteWaits(t *testing.T) {
	c := newCast(t)
	invite := c.invite("invite", day(20))
	cert := c.invited("edge", "invite", invite, day(10))
	if err := c.roster.check(cert); !errors.Is(err, errUnknownIssuer) {
		t.Errorf("before the invite: %v", err)
	}
	c.add(invite, cert)
	if _, err := c.roster.member(c.id("edge")); err != nil {
		t.Errorf("after it: %v", err)
	}
}

// Of the certificates of one invite the first to arrive stands, whatever their CIDs: nobody can displace a member.
func TestOneMemberAnInvite(t *testing.T) {
	sample := newCast(t)
	invite := sample.invite("invite", day(20))
	var certs []*record.Signed
	for _, name := range []string{"a", "b", "c", "d"} {
		certs = append(certs, sample.invited(name, "invite", invite, day(10)))
	}
	rapid.Check(t, func(rt *rapid.T) {
		c := newCast(t)
		c.add(invite)
		order := rapid.Permutation(certs).Draw(rt, "order")
		c.add(order...)
		members := c.roster.members()
		if len(members) != 1 || members[0].signed.CID != order[0].CID {
			rt.Fatalf("members: %v", members)
		}
	})
}
