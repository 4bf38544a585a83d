package chaos

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"

	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage/record"
)

// Protocols as another program would speak them.
const (
	helloProtocol = "/mlecs/hello/1"
	syncProtocol  = "/mlecs/sync/1"
	blobProtocol  = "/mlecs/blob/1"
	meshProtocol  = "/meshsub/1.1.0"
)

type (
	helloRequest struct {
		Federation  cid.Cid  `cbor:"federation"`
		Chain       [][]byte `cbor:"chain"`
		WantGenesis bool     `cbor:"want_genesis"`
	}
	helloReply struct {
		Refused string         `cbor:"refused"`
		Chain   [][]byte       `cbor:"chain"`
		Genesis []byte         `cbor:"genesis"`
		Peers   []introduction `cbor:"peers"`
	}
	introduction struct {
		ID    peer.ID  `cbor:"id"`
		Addrs []string `cbor:"addrs"`
	}
	helloDone struct {
		OK bool `cbor:"ok"`
	}
	blobRequest struct {
		CID    cid.Cid `cbor:"cid"`
		Offset int64   `cbor:"offset"`
	}
	syncRange struct {
		_    struct{} `cbor:",toarray"`
		To   []byte
		Says uint64
		Data []byte
	}
	syncRanges struct {
		Salt   []byte      `cbor:"salt"`
		Ranges []syncRange `cbor:"ranges"`
	}
	blobReply struct {
		Status string `cbor:"status"`
		Size   int64  `cbor:"size"`
	}
)

// intruder is a peer with software of its own: a libp2p host that speaks mlecs's protocols raw, and remembers every byte that it was sent.
type intruder struct {
	host host.Host
	key  crypto.PrivKey
	id   peer.ID

	opened atomic.Int64 // streams that members opened to it
	serves atomic.Bool  // false: whoever opens a stream is told nothing

	mu     sync.Mutex
	heard  bytes.Buffer           // all that members sent, but for gossip
	gossip []*pb.Message          // records that members forwarded
	fresh  map[string]*pb.Message // the same, by content
	seq    uint64                 // of its records
	chain  []*record.Signed       // that it presented last

	promised map[cid.Cid]int64       // bytes of blobs that do not exist
	mesh     map[peer.ID]*meshStream // its own streams
}

type meshStream struct {
	mu sync.Mutex
	s  network.Stream
}

// limits of what an intruder keeps in memory.
const (
	mostHeard  = 8 << 20
	mostGossip = 1024
	mostFrame  = 1 << 20
)

func newIntruder() (*intruder, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an intruder: %w", err)
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return nil, fmt.Errorf("make an intruder: %w", err)
	}
	i := &intruder{host: h, key: key, id: h.ID(), fresh: map[string]*pb.Message{}, mesh: map[peer.ID]*meshStream{}, promised: map[cid.Cid]int64{}}
	for _, name := range []protocol.ID{helloProtocol, syncProtocol, blobProtocol} {
		h.SetStreamHandler(name, func(s network.Stream) {
			i.opened.Add(1)
			if name == blobProtocol && i.serves.Load() {
				i.serveGarbage(s)
			}
			s.Reset()
		})
	}
	h.SetStreamHandler(meshProtocol, i.listen)
	return i, nil
}

func (i *intruder) close() { i.host.Close() }

// dial connects to a member at one of its addresses.
func (i *intruder) dial(ctx context.Context, addr string) (peer.ID, error) {
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(ctx, "intruder"), askPatience)
	defer cancel()
	return info.ID, i.host.Connect(ctx, *info)
}

func (i *intruder) connected(p peer.ID) bool {
	return i.host.Network().Connectedness(p) == network.Connected
}

// hello asks to be let in, and gives the reason of a refusal. Let in, it concludes the exchange.
func (i *intruder) hello(ctx context.Context, to peer.ID, federation cid.Cid, chain []*record.Signed) (refused string, err error) {
	s, err := i.open(ctx, to, helloProtocol)
	if err != nil {
		return "", err
	}
	defer s.Close()
	i.chain = chain
	req := helloRequest{Federation: federation, Chain: [][]byte{}, WantGenesis: true}
	for _, r := range chain {
		req.Chain = append(req.Chain, r.Envelope)
	}
	if err := writeFrame(s, req); err != nil {
		return "", err
	}
	body, err := readFrame(bufio.NewReader(s))
	if err != nil {
		return "", fmt.Errorf("read the answer to hello: %w", err)
	}
	var reply helloReply
	if err := record.Decode(body, &reply); err != nil {
		return "", fmt.Errorf("read the answer to hello: %w", err)
	}
	if reply.Refused == "" { // a member may hear of other members
		return "", writeFrame(s, helloDone{OK: true})
	}
	i.hear(body)
	return reply.Refused, nil
}

// open opens a stream that ends in time.
func (i *intruder) open(ctx context.Context, to peer.ID, name protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "intruder"), askPatience)
	defer cancel()
	s, err := i.host.NewStream(ctx, to, name)
	if err == nil {
		s.SetDeadline(time.Now().Add(askPatience))
	}
	return s, err
}

// probe sends bytes over a protocol and keeps all that comes back.
func (i *intruder) probe(ctx context.Context, to peer.ID, name protocol.ID, request []byte) (answered int, err error) {
	s, err := i.open(ctx, to, name)
	if err != nil {
		return 0, nil // not even a stream
	}
	defer s.Close()
	s.Write(request)
	s.CloseWrite()
	b, err := io.ReadAll(io.LimitReader(s, mostFrame))
	i.hear(b)
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return len(b), fmt.Errorf("%s: the stream was kept open", name)
	}
	return len(b), nil
}

func (i *intruder) hear(b []byte) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.heard.Len()+len(b) <= mostHeard {
		i.heard.Write(b)
	}
}

// listen takes what members gossip.
func (i *intruder) listen(s network.Stream) {
	i.opened.Add(1)
	r := bufio.NewReader(s)
	for {
		frame, err := readFrame(r)
		if err != nil {
			s.Reset()
			return
		}
		var rpc pb.RPC
		if proto.Unmarshal(frame, &rpc) != nil {
			continue
		}
		i.mu.Lock()
		for _, m := range rpc.Publish {
			if i.fresh[string(m.Data)] == nil && len(i.gossip) < mostGossip {
				i.fresh[string(m.Data)] = m
				i.gossip = append(i.gossip, m)
			}
		}
		i.mu.Unlock()
	}
}

// delta is a record of an honest edge that was gossiped here, nil if there was none yet.
func (i *intruder) delta() *record.Signed {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := len(i.gossip) - 1; n >= 0; n-- {
		if s, err := record.Open(i.gossip[n].Data); err == nil && s.Kind == record.KindDelta && s.Author != i.id {
			return s
		}
	}
	return nil
}

// serveGarbage answers a request for a blob with as many random bytes as were announced.
func (i *intruder) serveGarbage(s network.Stream) {
	s.SetDeadline(time.Now().Add(askPatience))
	frame, err := readFrame(bufio.NewReader(s))
	if err != nil {
		return
	}
	var req blobRequest
	if record.Decode(frame, &req) != nil {
		return
	}
	i.mu.Lock()
	size, ok := i.promised[req.CID]
	i.mu.Unlock()
	if !ok {
		return
	}
	if writeFrame(s, blobReply{Status: "ok", Size: size}) == nil {
		io.CopyN(s, rand.Reader, size-req.Offset)
	}
	s.CloseWrite()
	io.Copy(io.Discard, s)
}

// promise remembers the size that a record of the intruder's claims for a blob.
func (i *intruder) promise(b record.Blob) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.promised[b.CID] = b.Bytes
}

// sign makes a record of the intruder's own.
func sign[T record.Body](i *intruder, federation cid.Cid, body *T, parents ...cid.Cid) (*record.Signed, error) {
	kind, encoded, err := record.NewBody(body)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	i.seq++
	seq := i.seq
	i.mu.Unlock()
	return record.Sign(i.key, record.Record{Kind: kind, Federation: federation, Seq: seq, Parents: parents, Created: time.Now().UnixMilli(), Body: encoded})
}

// pledge makes the certificate that an invite token is good for.
func pledge(t p2p.Token, subject peer.ID, role record.Role) ([]*record.Signed, error) {
	invite, err := record.Open(t.Certificate)
	if err != nil {
		return nil, err
	}
	terms, err := record.BodyAs[record.Certificate](invite)
	if err != nil {
		return nil, err
	}
	if role == "" {
		role = terms.Role
	}
	kind, body, err := record.NewBody(&record.Certificate{Subject: subject, Name: "intruder", Role: role, Expires: terms.Expires})
	if err != nil {
		return nil, err
	}
	cert, err := record.Sign(t.Key, record.Record{Kind: kind, Federation: t.Federation, Seq: 1, Parents: []cid.Cid{invite.CID}, Created: time.Now().UnixMilli(), Body: body})
	if err != nil {
		return nil, err
	}
	return []*record.Signed{invite, cert}, nil
}

// message wraps a record's envelope as GossipSub's publisher would.
func (i *intruder) message(topic string, data []byte) (*pb.Message, error) {
	seqno := make([]byte, 8)
	rand.Read(seqno)
	m := &pb.Message{Data: data, Topic: &topic, From: []byte(i.id), Seqno: seqno}
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	m.Signature, err = i.key.Sign(append([]byte(pubsub.SignPrefix), b...))
	return m, err
}

// subscribe tells a member that the intruder wants to hear what is gossiped.
func (i *intruder) subscribe(ctx context.Context, to peer.ID, topic string) error {
	yes := true
	b, err := proto.Marshal(&pb.RPC{Subscriptions: []*pb.RPC_SubOpts{{Subscribe: &yes, Topicid: &topic}}})
	if err != nil {
		return err
	}
	return i.rawGossip(ctx, to, append(binary.AppendUvarint(nil, uint64(len(b))), b...))
}

func encodeRPC(messages ...*pb.Message) ([]byte, error) {
	return proto.Marshal(&pb.RPC{Publish: messages})
}

// gossipTo sends messages to one member, over a stream that is opened again when the member ends it.
func (i *intruder) gossipTo(ctx context.Context, to peer.ID, messages ...*pb.Message) error {
	b, err := encodeRPC(messages...)
	if err != nil {
		return err
	}
	return i.rawGossip(ctx, to, append(binary.AppendUvarint(nil, uint64(len(b))), b...))
}

func (i *intruder) rawGossip(ctx context.Context, to peer.ID, frame []byte) error {
	i.mu.Lock()
	m := i.mesh[to]
	if m == nil {
		m = &meshStream{}
		i.mesh[to] = m
	}
	i.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.s == nil {
		s, err := i.open(ctx, to, meshProtocol)
		if err != nil {
			return err
		}
		m.s = s
	}
	m.s.SetDeadline(time.Now().Add(askPatience))
	if _, err := m.s.Write(frame); err != nil {
		m.s.Reset()
		m.s = nil
		return err
	}
	return nil
}

func writeFrame(w io.Writer, message any) error {
	body, err := record.Encode(message)
	if err != nil {
		return err
	}
	_, err = w.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...))
	return err
}

func readFrame(r *bufio.Reader) ([]byte, error) {
	size, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, err
	}
	if size > mostFrame {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	b := make([]byte, size)
	_, err = io.ReadFull(r, b)
	return b, err
}
