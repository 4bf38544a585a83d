package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// helloProtocol proves membership. Whoever dialled begins:
//
//	dialler   -> helloRequest: federation, its certificate chain
//	listener  -> helloReply: a refusal, or its own chain, the genesis if wanted, and addresses of members
//	dialler   -> helloDone, once it has verified the listener's chain; or it disconnects
//
// Each message is a length (unsigned varint) and DAG-CBOR.
const helloProtocol = "/mlecs/hello/1"

const (
	maxHello      = 8 * record.MaxSize // bytes of one message: two certificates, a genesis and 32 peers fit
	maxHelloPeers = 32
	maxHelloAddrs = 8
	maxReason     = 200 // characters of a refusal that are logged
	refusalLinger = time.Second
	staleAfter    = 2 * time.Second // two nodes that dial each other at the same time keep both connections
)

type helloRequest struct {
	Federation  cid.Cid  `cbor:"federation"`
	Chain       [][]byte `cbor:"chain"` // envelopes, founder's first
	WantGenesis bool     `cbor:"want_genesis"`
}

type helloReply struct {
	Refused string         `cbor:"refused"` // why; all else is empty then
	Chain   [][]byte       `cbor:"chain"`
	Genesis []byte         `cbor:"genesis"`
	Peers   []introduction `cbor:"peers"` // other members connected to the listener
}

// introduction tells where a member can be reached.
type introduction struct {
	ID    peer.ID  `cbor:"id"`
	Addrs []string `cbor:"addrs"`
}

type helloDone struct {
	OK bool `cbor:"ok"`
}

// answerHello is the listener's side.
func (n *Network) answerHello(s network.Stream) {
	defer s.Close()
	p := s.Conn().RemotePeer()
	s.SetDeadline(time.Now().Add(helloDeadline))
	select {
	case <-n.up: // a peer may dial between New and Serve
	case <-n.ctx.Done():
		s.Reset()
		return
	}
	var req helloRequest
	if err := readMessage(s, &req); err != nil {
		s.Reset()
		n.log.Debug("hello not understood", "peer", p, "err", err)
		return // the peer's time to prove membership goes on
	}
	reply, err := n.judge(p, &req)
	if err != nil {
		n.turnAway(s, err)
		return
	}
	if !n.gate.prove(p) {
		s.Reset()
		return
	}
	n.closeStale(s.Conn())
	if err := writeMessage(s, reply); err != nil {
		s.Reset()
		n.log.Debug("hello not answered", "peer", p, "err", err)
		return
	}
	var done helloDone
	if err := readMessage(s, &done); err != nil || !done.OK {
		n.log.Debug("hello not concluded by the peer", "peer", p, "err", err)
		return
	}
	n.welcome(p)
}

// judge verifies a request, takes the peer's certificates, and composes the reply.
func (n *Network) judge(p peer.ID, req *helloRequest) (*helloReply, error) {
	if !req.Federation.Equals(n.federation) {
		return nil, refusal("not a member of this federation")
	}
	if err := n.admit(p, req.Chain); err != nil {
		return nil, err
	}
	reply := &helloReply{Chain: envelopes(n.proof()), Peers: n.introduce(p)}
	if req.WantGenesis {
		reply.Genesis = n.genesis.Envelope
	}
	return reply, nil
}

// admit verifies the chain that p presents and takes its certificates; the other members hear of new ones by gossip.
func (n *Network) admit(p peer.ID, presented [][]byte) error {
	chain, err := openChain(presented)
	if err != nil {
		return err
	}
	if _, err := n.roster.verify(chain, p); err != nil {
		return err
	}
	for _, s := range chain {
		added, err := n.accept(s, p)
		if err != nil {
			return fmt.Errorf("take certificate %s: %w", s.CID, err)
		}
		if added {
			n.spread(s)
		}
	}
	return nil
}

// closeStale closes the connections to c's peer that are clearly older than c. A peer does not dial whom it is connected to, so it
// has lost them, and this side has not noticed: QUIC tells nobody that a process was killed, and streams would still be opened on
// the old one.
func (n *Network) closeStale(c network.Conn) {
	for _, old := range n.host.Network().ConnsToPeer(c.RemotePeer()) {
		if old.ID() != c.ID() && c.Stat().Opened.Sub(old.Stat().Opened) > staleAfter {
			old.Close()
		}
	}
}

// turnAway tells the peer why, if the reason concerns its proof, and disconnects it.
func (n *Network) turnAway(s network.Stream, err error) {
	reason := refusal("try again later")
	errors.As(err, &reason)
	if writeMessage(s, &helloReply{Refused: string(reason)}) == nil && s.CloseWrite() == nil {
		// Closing the connection at once could overtake the reply.
		s.SetReadDeadline(time.Now().Add(refusalLinger))
		io.Copy(io.Discard, io.LimitReader(s, maxHello))
	}
	n.refuse(s.Conn().RemotePeer(), err)
}

// greet is the dialler's side, on a fresh connection. A peer that cannot be greeted is disconnected.
func (n *Network) greet(ctx context.Context, c network.Conn) {
	p := c.RemotePeer()
	err := n.exchangeHello(ctx, p)
	if err == nil {
		n.welcome(p)
		return
	}
	var reason refusedByPeer
	switch {
	case errors.As(err, &reason):
		n.log.Warn("peer refused this node", "peer", p, "addr", c.RemoteMultiaddr(), "reason", string(reason))
		n.contacts.refused(p)
		n.host.Network().ClosePeer(p)
	case isRefusal(err):
		n.contacts.refused(p)
		n.refuse(p, err)
	default:
		n.log.Debug("hello failed", "peer", p, "addr", c.RemoteMultiaddr(), "err", err)
		c.Close()
	}
}

func (n *Network) exchangeHello(ctx context.Context, p peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, helloDeadline)
	defer cancel()
	s, reply, err := sayHello(ctx, n.host, p, &helloRequest{Federation: n.federation, Chain: envelopes(n.proof())})
	if err != nil {
		return err
	}
	defer s.Close()
	if err := n.admit(p, reply.Chain); err != nil {
		s.Reset()
		return err
	}
	if !n.gate.prove(p) {
		return errors.New("disconnected during hello")
	}
	n.contacts.introduced(reply.Peers)
	return writeMessage(s, &helloDone{OK: true})
}

// sayHello sends req to p, which must be connected, and reads the reply. The caller concludes and closes s.
func sayHello(ctx context.Context, h host.Host, p peer.ID, req *helloRequest) (s network.Stream, reply *helloReply, err error) {
	s, err = h.NewStream(network.WithNoDial(ctx, "hello"), p, helloProtocol)
	if err != nil {
		return nil, nil, fmt.Errorf("open hello stream: %w", err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		s.SetDeadline(deadline)
	}
	reply = new(helloReply)
	if err = writeMessage(s, req); err == nil {
		err = readMessage(s, reply)
	}
	if err != nil {
		s.Reset()
		return nil, nil, err
	}
	if reply.Refused != "" {
		s.Close()
		return nil, nil, refusedByPeer(printable(reply.Refused))
	}
	return s, reply, nil
}

// refusedByPeer is the reason that a listener gave.
type refusedByPeer string

func (r refusedByPeer) Error() string { return "refused: " + string(r) }

func isRefusal(err error) bool {
	var r refusal
	return errors.As(err, &r)
}

// printable makes a text from the network fit for a log.
func printable(s string) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if runes := []rune(clean); len(runes) > maxReason {
		clean = string(runes[:maxReason]) + "..."
	}
	return clean
}

func envelopes(chain []*record.Signed) [][]byte {
	out := make([][]byte, len(chain))
	for i, s := range chain {
		out[i] = s.Envelope
	}
	return out
}

func openChain(presented [][]byte) ([]*record.Signed, error) {
	if len(presented) > maxChain {
		return nil, refusal(fmt.Sprintf("certificate chain of %d records, at most %d are allowed", len(presented), maxChain))
	}
	chain := make([]*record.Signed, len(presented))
	for i, envelope := range presented {
		s, err := record.Open(envelope)
		if err != nil {
			return nil, refusal("certificate is damaged or forged: " + err.Error())
		}
		chain[i] = s
	}
	return chain, nil
}
