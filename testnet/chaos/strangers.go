package chaos

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// target is what strangers know, and what they must not learn.
type target struct {
	door       *subject // the founder's node, which they try to enter
	addr       string
	id         peer.ID
	federation cid.Cid
	secrets    map[string][][]byte // what is secret, and how it would look
}

// strangers tries every wrong way in: without a certificate, with an expired, a revoked, a forged and somebody else's one, and with rights
// that a certificate does not give.
func (l *lab) strangers(ctx context.Context, _ Step) error {
	t, err := l.target(ctx)
	if err != nil {
		return err
	}
	for _, try := range []struct {
		name   string
		reason string // in the door's log
		do     func(context.Context, *target, *intruder) (string, error)
	}{
		{"a stranger is refused", "membership not proved", l.noCertificate},
		{"an expired certificate is refused", "certificate expired on", l.expired},
		{"a forged certificate is refused", "not signed by the federation's founder", l.forged},
		{"a damaged certificate is refused", "damaged or forged", l.damaged},
		{"another member's certificate is refused", "certificate is for another peer", l.borrowed},
		{"an edge's invite makes no super-peer", "the invite is for edge", l.promoted},
		{"a revoked certificate is refused, and its connection cut", "certificate revoked on", l.revoked},
		{"an edge that publishes an aggregate is refused", "role edge may not publish", l.escalated},
	} {
		i, err := newIntruder()
		if err != nil {
			return err
		}
		detail, err := try.do(ctx, t, i)
		ok := err == nil
		if err != nil {
			detail = err.Error()
		}
		if ok {
			ok, detail = t.logged(ctx, i.id, try.reason, detail)
		}
		if leaks := t.leaks(i); ok && len(leaks) > 0 {
			ok, detail = false, detail+"; it learned "+strings.Join(leaks, ", ")
		} else if ok {
			detail += fmt.Sprintf("; of %d bytes that it was sent none is a record, blob, peer or the federation's name", i.heard.Len())
		}
		i.close()
		l.record(Check{Check: try.name, OK: ok, Detail: detail})
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (l *lab) target(ctx context.Context) (*target, error) {
	door := l.subjects[0]
	st, err := door.status(ctx)
	if err != nil {
		return nil, err
	}
	t := &target{door: door, secrets: map[string][][]byte{"the federation's name": {[]byte(st.FedName)}}}
	for _, a := range st.Addrs {
		if strings.Contains(a, "/tcp/") {
			t.addr = a
		}
	}
	info, err := peer.AddrInfoFromString(t.addr)
	if err != nil {
		return nil, fmt.Errorf("address of %s: %w", door.Name(), err)
	}
	t.id = info.ID
	if t.federation, err = cid.Decode(st.Federation); err != nil {
		return nil, err
	}
	t.secrets["the federation's id"] = [][]byte{t.federation.Bytes(), []byte(st.Federation)}
	records, err := door.records(ctx)
	if err != nil {
		return nil, err
	}
	for _, text := range records {
		if c, err := cid.Decode(text); err == nil {
			t.secrets["a record"] = append(t.secrets["a record"], c.Bytes(), []byte(text))
		}
	}
	for _, s := range l.subjects {
		if id, err := peer.Decode(s.id); err == nil && id != t.id {
			t.secrets["a member's id"] = append(t.secrets["a member's id"], []byte(id), []byte(s.id))
		}
	}
	deltas, err := ask(ctx, door, func(ctx context.Context, c *api.Client) ([]api.Delta, error) { return c.Deltas(ctx, api.Window{}) })
	if err != nil {
		return nil, err
	}
	for _, d := range deltas {
		for _, part := range d.Components {
			if c, err := cid.Decode(part.CID); err == nil {
				t.secrets["a blob's id"] = append(t.secrets["a blob's id"], c.Bytes(), []byte(part.CID))
			}
		}
	}
	return t, nil
}

// leaks names the secrets in what an intruder was sent.
func (t *target) leaks(i *intruder) (names []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	heard := slices.Clone(i.heard.Bytes())
	for _, m := range i.gossip {
		heard = append(heard, m.Data...)
	}
	protocols, _ := i.host.Peerstore().GetProtocols(t.id)
	for _, p := range protocols {
		heard = append(heard, p...)
	}
	if agent, err := i.host.Peerstore().Get(t.id, "AgentVersion"); err == nil {
		heard = fmt.Append(heard, agent)
	}
	for name, looks := range t.secrets {
		for _, look := range looks {
			if len(look) > 0 && bytes.Contains(heard, look) {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// logged waits until the door's log has a line about the intruder with the reason.
func (t *target) logged(ctx context.Context, id peer.ID, reason, detail string) (bool, string) {
	var found string
	err := until(ctx, 15*time.Second, func() bool {
		b, err := os.ReadFile(t.door.Log())
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, id.String()) && strings.Contains(line, reason) {
				found = line
			}
		}
		return found != ""
	})
	if err != nil {
		return false, fmt.Sprintf("%s; but %s has no line %q about it in its log", detail, t.door.Name(), reason)
	}
	return true, fmt.Sprintf("%s; logged: %q", detail, reason)
}

// token asks the founder's node for an invite.
func (t *target) token(ctx context.Context, role record.Role, lasts time.Duration) (p2p.Token, error) {
	reply, err := ask(ctx, t.door, func(ctx context.Context, c *api.Client) (*api.InviteReply, error) {
		return c.Invite(ctx, api.InviteRequest{Role: string(role), Seconds: int64(lasts / time.Second)})
	})
	if err != nil {
		return p2p.Token{}, fmt.Errorf("invite: %w", err)
	}
	return p2p.ParseToken(reply.Token)
}

// turnedAway says hello with a chain that must not be good enough.
func (t *target) turnedAway(ctx context.Context, i *intruder, chain []*record.Signed) (string, error) {
	if _, err := i.dial(ctx, t.addr); err != nil {
		return "", err
	}
	refused, err := i.hello(ctx, t.id, t.federation, chain)
	if err != nil {
		return "", err
	}
	if refused == "" {
		return "", errors.New("it was let in")
	}
	if err := until(ctx, 10*time.Second, func() bool { return !i.connected(t.id) }); err != nil {
		return "", errors.New("it was refused, and stayed connected")
	}
	return "disconnected after hello", nil
}

// noCertificate knows all that is not secret, and the federation's id and a blob's on top, and tries every protocol.
func (l *lab) noCertificate(ctx context.Context, t *target, i *intruder) (string, error) {
	if _, err := i.dial(ctx, t.addr); err != nil {
		return "", err
	}
	blobs := t.secrets["a blob's id"]
	if len(blobs) == 0 {
		return "", errors.New("there is no blob yet that could be asked for")
	}
	id, err := cid.Cast(blobs[0])
	if err != nil {
		return "", err
	}
	request, err := framed(blobRequest{CID: id})
	if err != nil {
		return "", err
	}
	opening, err := framed(syncRanges{make([]byte, 16), []syncRange{{To: []byte{}, Says: 1, Data: make([]byte, 8)}}}) // a fingerprint that fits nothing
	if err != nil {
		return "", err
	}
	for _, name := range []protocol.ID{blobProtocol, syncProtocol, meshProtocol, "/meshsub/1.2.0", "/floodsub/1.0.0"} {
		frame := request
		if name == syncProtocol {
			frame = opening
		}
		n, err := i.probe(ctx, t.id, name, frame)
		if err != nil {
			return "", err
		}
		if n > 0 {
			return "", fmt.Errorf("%s answered a stranger with %d bytes", name, n)
		}
	}
	if err := until(ctx, 15*time.Second, func() bool { return !i.connected(t.id) }); err != nil {
		return "", errors.New("it stayed connected")
	}
	if n := i.opened.Load(); n > 0 {
		return "", fmt.Errorf("members opened %d streams to it", n)
	}
	return "5 protocols answered nothing, and it was disconnected", nil
}

// framed is a message as it goes over a stream: its length, and its bytes.
func framed(message any) ([]byte, error) {
	b, err := record.Encode(message)
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...), err
}

func (l *lab) expired(ctx context.Context, t *target, i *intruder) (string, error) {
	token, err := t.token(ctx, record.RoleEdge, 2*time.Second)
	if err != nil {
		return "", err
	}
	chain, err := pledge(token, i.id, "")
	if err != nil {
		return "", err
	}
	if err := rest(ctx, 3*time.Second); err != nil {
		return "", err
	}
	return t.turnedAway(ctx, i, chain)
}

// forged signs its certificate with a key of its own, in the name of nobody.
func (l *lab) forged(ctx context.Context, t *target, i *intruder) (string, error) {
	cert, err := sign(i, t.federation, &record.Certificate{Subject: i.id, Name: "intruder", Role: record.RoleSuper, Expires: time.Now().Add(time.Hour).Unix()})
	if err != nil {
		return "", err
	}
	return t.turnedAway(ctx, i, []*record.Signed{cert})
}

// damaged takes a good certificate and changes a bit of the signature.
func (l *lab) damaged(ctx context.Context, t *target, i *intruder) (string, error) {
	token, err := t.token(ctx, record.RoleEdge, time.Hour)
	if err != nil {
		return "", err
	}
	chain, err := pledge(token, i.id, "")
	if err != nil {
		return "", err
	}
	last := *chain[1]
	last.Envelope = slices.Clone(last.Envelope)
	last.Envelope[len(last.Envelope)-1] ^= 1
	return t.turnedAway(ctx, i, []*record.Signed{chain[0], &last})
}

// borrowed presents a good certificate, of somebody else.
func (l *lab) borrowed(ctx context.Context, t *target, i *intruder) (string, error) {
	token, err := t.token(ctx, record.RoleEdge, time.Hour)
	if err != nil {
		return "", err
	}
	other, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return "", err
	}
	id, err := peer.IDFromPrivateKey(other)
	if err != nil {
		return "", err
	}
	chain, err := pledge(token, id, "")
	if err != nil {
		return "", err
	}
	return t.turnedAway(ctx, i, chain)
}

// promoted uses an edge's invite to certify itself as a super-peer.
func (l *lab) promoted(ctx context.Context, t *target, i *intruder) (string, error) {
	token, err := t.token(ctx, record.RoleEdge, time.Hour)
	if err != nil {
		return "", err
	}
	chain, err := pledge(token, i.id, record.RoleSuper)
	if err != nil {
		return "", err
	}
	return t.turnedAway(ctx, i, chain)
}

// admitted lets an intruder in as an edge, which is no secret to a member.
func (t *target) admitted(ctx context.Context, i *intruder) error {
	token, err := t.token(ctx, record.RoleEdge, time.Hour)
	if err != nil {
		return err
	}
	chain, err := pledge(token, i.id, "")
	if err != nil {
		return err
	}
	if _, err := i.dial(ctx, t.addr); err != nil {
		return err
	}
	refused, err := i.hello(ctx, t.id, t.federation, chain)
	if err == nil && refused != "" {
		err = fmt.Errorf("it was refused: %s", refused)
	}
	return err
}

// revoked is a member for a moment: after that it must get nothing, whatever it was before.
func (l *lab) revoked(ctx context.Context, t *target, i *intruder) (string, error) {
	if err := t.admitted(ctx, i); err != nil {
		return "", err
	}
	began := time.Now()
	_, err := ask(ctx, t.door, func(ctx context.Context, c *api.Client) (*api.Member, error) {
		return c.Revoke(ctx, api.RevokeRequest{Peer: i.id.String(), Reason: "a test"})
	})
	if err != nil {
		return "", fmt.Errorf("revoke: %w", err)
	}
	if err := until(ctx, 10*time.Second, func() bool { return !i.connected(t.id) }); err != nil {
		return "", errors.New("it stayed connected")
	}
	cut := time.Since(began)
	i.forget()
	detail, err := t.again(ctx, i)
	return fmt.Sprintf("connection cut %.1f s after the revocation; back again: %s", cut.Seconds(), detail), err
}

// again comes back with the certificate that it had.
func (t *target) again(ctx context.Context, i *intruder) (string, error) {
	list, err := ask(ctx, t.door, func(ctx context.Context, c *api.Client) ([]api.Member, error) { return c.Members(ctx) })
	if err != nil {
		return "", err
	}
	for _, m := range list {
		if m.PeerID == i.id.String() && m.State != api.MemberRevoked {
			return "", fmt.Errorf("it is %s to the federation", m.State)
		}
	}
	return t.turnedAway(ctx, i, i.chain)
}

// escalated is an edge that publishes what only a super-peer may.
func (l *lab) escalated(ctx context.Context, t *target, i *intruder) (string, error) {
	if err := t.admitted(ctx, i); err != nil {
		return "", err
	}
	r, err := sign(i, t.federation, &record.Aggregate{Round: 1 << 20}, t.federation)
	if err != nil {
		return "", err
	}
	m, err := i.message("/mlecs/"+t.federation.String(), r.Envelope)
	if err != nil {
		return "", err
	}
	if err := i.gossipTo(ctx, t.id, m); err != nil {
		return "", err
	}
	if ok, detail := t.logged(ctx, i.id, "role edge may not publish", "its aggregate was not taken"); !ok {
		return "", errors.New(detail)
	}
	for _, s := range l.subjects {
		ids, err := s.records(ctx)
		if err != nil {
			return "", err
		}
		if slices.Contains(ids, r.CID.String()) {
			return "", fmt.Errorf("%s has taken its aggregate", s.Name())
		}
	}
	i.forget() // as a member it may hear what members say
	return fmt.Sprintf("its aggregate is on none of %d nodes", len(l.subjects)), nil
}

// forget drops what the intruder heard while it was a member.
func (i *intruder) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.heard.Reset()
	i.gossip = nil
}
