package p2p

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/storage/record"
)

// heir is a certificate by which one identity takes the place of another; change may spoil it before it is signed.
func (c *cast) heir(from, to string, parent *record.Signed, seq uint64, change ...func(*record.Certificate)) *record.Signed {
	c.t.Helper()
	before, err := record.BodyAs[record.Certificate](parent)
	if err != nil {
		c.t.Fatal(err)
	}
	body := *before
	body.Subject = c.id(to)
	if body.Heir, err = c.key(to).Sign(consent(c.roster.federation, parent.CID, c.id(from), c.id(to))); err != nil {
		c.t.Fatal(err)
	}
	for _, f := range change {
		f(&body)
	}
	return c.sign(c.key(from), c.roster.federation, seq, day(1), &body, parent.CID)
}

func (c *cast) isMember(name string) bool {
	_, err := c.roster.member(c.id(name))
	return err == nil
}

func TestHeirTakesThePlaceOfAnIdentity(t *testing.T) {
	c := newCast(t)
	old := c.member("old", record.RoleEdge, day(30))
	c.add(old)
	next := c.heir("old", "new", old, 5)
	if _, err := c.roster.verify([]*record.Signed{old, next}, c.id("new")); err != nil {
		t.Errorf("the heir's chain before it is known: %v", err)
	}
	c.add(next)
	if !c.isMember("new") || c.isMember("old") {
		t.Errorf("the heir is a member: %v, the old identity: %v", c.isMember("new"), c.isMember("old"))
	}
	m, err := c.roster.member(c.id("new"))
	if err != nil || m.body.Name != "old" || m.body.Role != record.RoleEdge || !m.expires().Equal(day(30)) {
		t.Errorf("the heir is %+v, %v", m, err)
	}
	if _, err := c.roster.verify([]*record.Signed{old}, c.id("old")); !isRefusal(err) {
		t.Errorf("the old identity is let in: %v", err)
	}
	wrote := func(name string, seq uint64) error {
		return c.roster.authorise(&record.Record{Author: c.id(name), Kind: record.KindDelta, Seq: seq, Created: day(9).UnixMilli()})
	}
	if err := wrote("old", 4); err != nil {
		t.Errorf("what the old identity wrote before: %v", err)
	}
	var late tooLate
	if err := wrote("old", 6); !errors.As(err, &late) {
		t.Errorf("what the old identity wrote afterwards: %v", err)
	}
	if err := wrote("new", 1); err != nil {
		t.Errorf("what the heir writes: %v", err)
	}
	c.add(c.member("old", record.RoleEdge, day(40)))
	if c.isMember("old") {
		t.Error("a later certificate brings the old identity back")
	}
	c.clock.at = day(30)
	if c.isMember("new") {
		t.Error("the heir outlives the certificate that it inherited")
	}
}

func TestHeirsAreRefused(t *testing.T) {
	c := newCast(t)
	old, invite := c.member("old", record.RoleEdge, day(30)), c.invite("invite", day(20))
	c.add(old, invite)
	for _, x := range []struct {
		name string
		cert *record.Signed
	}{
		{"another role", c.heir("old", "new", old, 5, func(b *record.Certificate) { b.Role = record.RoleSuper })},
		{"a delegate", c.heir("old", "new", old, 5, func(b *record.Certificate) { b.Role, b.Delegate = record.RoleSuper, true })},
		{"another name", c.heir("old", "new", old, 5, func(b *record.Certificate) { b.Name = "else" })},
		{"a later end", c.heir("old", "new", old, 5, func(b *record.Certificate) { b.Expires++ })},
		{"itself", c.heir("old", "old", old, 5)},
		{"of another", c.heir("thief", "new", old, 5)},
		{"of an invite", c.heir("invite", "new", invite, 1, func(b *record.Certificate) { b.Invite = false })},
		{"by the founder", c.heir("founder", "new", old, 5)},
		{"without the new key's signature", c.heir("old", "new", old, 5, func(b *record.Certificate) { b.Heir = make([]byte, 64) })},
		{"with the signature for another", c.heir("old", "new", old, 5, func(b *record.Certificate) { b.Subject = c.id("victim") })},
	} {
		if err := c.roster.add(x.cert); !isRefusal(err) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
	parent, from := old, "old"
	for i := range maxHeirs + 1 {
		to := fmt.Sprint("heir", i)
		next := c.heir(from, to, parent, 5)
		if err := c.roster.add(next); (err == nil) != (i < maxHeirs) {
			t.Errorf("heir %d: %v", i+1, err)
		}
		parent, from = next, to
	}
}

// A key in two hands: whoever knows of both heirs knows no member, until the founder certifies one itself.
func TestSeveralHeirsAreNone(t *testing.T) {
	c := newCast(t)
	old := c.member("old", record.RoleEdge, day(30))
	mine, stolen := c.heir("old", "mine", old, 5), c.heir("old", "thief", old, 5)
	c.add(old, mine)
	if _, err := c.roster.verify([]*record.Signed{old, stolen}, c.id("thief")); !isRefusal(err) {
		t.Errorf("a thief is let in after the rotation: %v", err)
	}
	if !c.isMember("mine") {
		t.Error("a thief that was refused has ended the membership")
	}
	c.add(stolen)
	for _, name := range []string{"old", "mine", "thief"} {
		if c.isMember(name) {
			t.Errorf("%s is a member", name)
		}
	}
	c.add(c.member("mine", record.RoleEdge, day(40)))
	if !c.isMember("mine") || c.isMember("thief") {
		t.Errorf("after the founder's certificate: mine %v, thief %v", c.isMember("mine"), c.isMember("thief"))
	}
}

// An heir of a delegate may revoke what that has admitted. What is signed with the old key afterwards is void.
func TestHeirOfADelegate(t *testing.T) {
	c := newCast(t)
	federation := c.roster.federation
	boss := c.sign(c.founder, federation, 2, day(0), &record.Certificate{Subject: c.id("boss"), Role: record.RoleSuper, Delegate: true, Expires: day(20).Unix()})
	by := func(name, subject string, seq uint64, parent *record.Signed) *record.Signed {
		return c.sign(c.key(name), federation, seq, day(1), &record.Certificate{Subject: c.id(subject), Role: record.RoleEdge, Expires: day(9).Unix()}, parent.CID)
	}
	before, next := by("boss", "before", 1, boss), c.heir("boss", "next", boss, 3)
	c.add(boss, before, next, by("boss", "after", 4, boss), by("next", "later", 1, next))
	for name, want := range map[string]bool{"before": true, "after": false, "later": true, "next": true, "boss": false} {
		if c.isMember(name) != want {
			t.Errorf("%s is a member: %v", name, !want)
		}
	}
	if err := c.roster.revoke(c.sign(c.key("boss"), federation, 5, day(1), &record.Revocation{Certificate: before.CID})); err != nil || !c.isMember("before") {
		t.Errorf("the old key revokes: %v", err)
	}
	if err := c.roster.revoke(c.sign(c.key("next"), federation, 2, day(1), &record.Revocation{Certificate: before.CID})); err != nil || c.isMember("before") {
		t.Errorf("the heir revokes: %v", err)
	}
}

// state is all that a roster says of everybody, and of what each may have written.
func (c *cast) state(names []string) string {
	var b strings.Builder
	for _, name := range names {
		m, err := c.roster.member(c.id(name))
		fmt.Fprintf(&b, "%s: ", name)
		if err == nil {
			fmt.Fprintf(&b, "%s ", m.signed.CID)
		}
		for seq := uint64(1); seq < 8; seq++ {
			r := &record.Record{Author: c.id(name), Kind: record.KindDelta, Seq: seq, Created: day(2).UnixMilli()}
			fmt.Fprintf(&b, "%v ", c.roster.authorise(r) == nil)
		}
		over, handed := c.roster.successor(c.id(name))
		fmt.Fprintf(&b, "%q %v\n", over, handed)
	}
	return b.String()
}

// takeAll gives a roster records in some order, and those that wait for others again, as syncs do.
func (c *cast) takeAll(list []*record.Signed) {
	for range len(list) {
		for _, s := range list {
			if s.Kind == record.KindRevocation {
				c.roster.revoke(s)
			} else {
				c.roster.add(s)
			}
		}
	}
}

// Whatever identities hand over to whom, and whoever revokes what: nodes that have the same records agree, in whatever order they came.
func TestSuccessionsDependOnNoOrder(t *testing.T) {
	names := []string{"boss", "a", "b", "c", "d", "e"}
	rapid.Check(t, func(rt *rapid.T) {
		c := newCast(t)
		federation := c.roster.federation
		boss := c.sign(c.founder, federation, 2, day(0), &record.Certificate{Subject: c.id("boss"), Role: record.RoleSuper, Delegate: true, Expires: day(20).Unix()})
		list := []*record.Signed{boss, c.member("a", record.RoleEdge, day(20))}
		subjects := []string{"boss", "a"}
		var revocations []*record.Signed
		signer := rapid.SampledFrom(names[:4])
		for range rapid.IntRange(2, 12).Draw(rt, "records") {
			i := rapid.IntRange(0, len(subjects)-1).Draw(rt, "parent")
			parent, holder := list[i], subjects[i]
			to := rapid.SampledFrom(names).Draw(rt, "to")
			seq := rapid.Uint64Range(1, 7).Draw(rt, "seq")
			switch rapid.SampledFrom([]string{"heir", "heir", "member", "revocation"}).Draw(rt, "kind") {
			case "heir":
				list, subjects = append(list, c.heir(holder, to, parent, seq)), append(subjects, to)
			case "member":
				body := &record.Certificate{Subject: c.id(to), Role: record.RoleEdge, Expires: day(10).Unix()}
				list, subjects = append(list, c.sign(c.key(holder), federation, seq, day(1), body, parent.CID)), append(subjects, to)
			case "revocation":
				at := day(rapid.IntRange(0, 3).Draw(rt, "at"))
				revocations = append(revocations, c.sign(c.key(signer.Draw(rt, "by")), federation, seq, at, &record.Revocation{Certificate: parent.CID}))
			}
		}
		list = append(list, revocations...)
		other := newCast(t)
		c.takeAll(list)
		other.takeAll(rapid.Permutation(list).Draw(rt, "order"))
		if a, b := c.state(names), other.state(names); a != b {
			rt.Fatalf("in one order:\n%s\nin another:\n%s", a, b)
		}
	})
}

func TestHeirOfAnOffenderIsNoBetter(t *testing.T) {
	c := newCast(t)
	q := newConduct(Quota{MinuteRecords: 3}, time.Hour, c.clock.now)
	old, next := c.id("old"), c.id("new")
	q.blame(old, graylisted)
	for seq := range uint64(3) {
		if err := q.charge(written(c, "old", seq+1, 10)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		q.inherit(old, next)
	}
	if !q.isGray(next) || q.cost(next) != graylisted {
		t.Errorf("the heir is gray: %v, with faults of %v", q.isGray(next), q.cost(next))
	}
	if err := q.charge(written(c, "new", 1, 10)); !errors.Is(err, errQuota) {
		t.Errorf("the heir has a quota of its own: %v", err)
	}
}
