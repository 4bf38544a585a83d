package p2p

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

const joinTimeout = 15 * time.Second // for one bootstrap peer

// Join proves the invite to one of the token's bootstrap peers, stores genesis and certificates in store, and returns the
// chain that makes key's peer a member, founder's certificate first. Blobs are fetched afterwards with FetchBlob. name is what
// other members see. It may be repeated; an invite used by this store before is used again in the same way.
func Join(ctx context.Context, key crypto.PrivKey, name string, store *storage.Store, t Token, log *slog.Logger) ([]*record.Signed, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	peers, err := parsePeers("token bootstrap", t.Bootstrap)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	self, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("join: identity key: %w", err)
	}
	chain, err := useInvite(store, t, self, name)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	h, err := newHost(hostConfig{key: key, limits: Limits{}.of(record.RoleEdge), gate: newGate(time.Now), gater: newBlocklist(), meter: newMeter()})
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	defer h.Close()

	errs := []error{fmt.Errorf("join federation %s: no bootstrap peer let this node in; is one of them running, and is the token new enough?", t.Federation)}
	for _, info := range peers {
		log.Info("asking to join", "peer", info.ID, "addrs", info.Addrs)
		genesis, theirs, err := askToJoin(ctx, h, info, t, chain)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s at %s: %w", info.ID, addrList(info.Addrs), err))
			continue
		}
		for _, s := range append([]*record.Signed{genesis}, append(chain, theirs...)...) {
			if _, err := store.PutRecord(s); err != nil {
				return nil, fmt.Errorf("join: store %s record: %w", s.Kind, err)
			}
		}
		return chain, nil
	}
	if err := ctx.Err(); err != nil {
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// useInvite signs this peer's certificate with the invite key, or finds the one signed before: an invite signs one only.
func useInvite(store *storage.Store, t Token, self peer.ID, name string) ([]*record.Signed, error) {
	invite, err := t.invite()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	terms, err := record.BodyAs[record.Certificate](invite)
	if err != nil {
		return nil, err
	}
	chain, err := openChain(t.Issuers)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	chain = append(chain, invite)
	for s, err := range store.ByAuthor(terms.Subject, storage.Range{From: 1, To: 1}) {
		if err != nil {
			return nil, fmt.Errorf("look for an earlier certificate: %w", err)
		}
		if body, err := record.BodyAs[record.Certificate](s); err == nil && body.Subject == self {
			return append(chain, s), nil
		}
	}
	cert, err := signBody(t.Key, invite.Federation, 1, []cid.Cid{invite.CID}, time.Now(), &record.Certificate{
		Subject: self, Name: name, Role: terms.Role, Delegate: terms.Delegate, Expires: terms.Expires,
	})
	if err != nil {
		return nil, err
	}
	return append(chain, cert), nil
}

// askToJoin proves chain to one bootstrap peer, and checks that what it answers is the token's federation.
func askToJoin(ctx context.Context, h host.Host, info peer.AddrInfo, t Token, chain []*record.Signed) (genesis *record.Signed, theirs []*record.Signed, err error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	if err := h.Connect(network.WithForceDirectDial(ctx, "join"), info); err != nil {
		return nil, nil, fmt.Errorf("not reached: %w", err)
	}
	defer h.Network().ClosePeer(info.ID)
	s, reply, err := sayHello(ctx, h, info.ID, &helloRequest{Federation: t.Federation, Chain: envelopes(chain), WantGenesis: true})
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	if genesis, err = record.Open(reply.Genesis); err != nil {
		return nil, nil, fmt.Errorf("the genesis it sent: %w", err)
	}
	if !genesis.CID.Equals(t.Federation) {
		return nil, nil, fmt.Errorf("it sent genesis %s, the token is for %s", genesis.CID, t.Federation)
	}
	roster, err := newRoster(genesis, time.Now)
	if err != nil {
		return nil, nil, err
	}
	if _, err := roster.verify(chain, h.ID()); err != nil {
		return nil, nil, fmt.Errorf("the token does not fit the federation: %w", err)
	}
	if theirs, err = openChain(reply.Chain); err == nil {
		_, err = roster.verify(theirs, info.ID)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("it is no member itself: %w", err)
	}
	return genesis, theirs, nil
}

func addrList(addrs []ma.Multiaddr) string {
	var text string
	for i, a := range addrs {
		if i > 0 {
			text += ", "
		}
		text += a.String()
	}
	return text
}
