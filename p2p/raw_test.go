package p2p_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/mlecs/mlecs/storage/record"
)

// The hello protocol as another program would write it.
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
)

const helloProtocol = "/mlecs/hello/1"

// rawHost is a libp2p host without anything of mlecs.
func rawHost(t testing.TB, key crypto.PrivKey) host.Host {
	t.Helper()
	h := must[host.Host](t)(libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.DisableRelay(), libp2p.DisableMetrics()))
	t.Cleanup(func() { h.Close() })
	return h
}

func dial(t testing.TB, h host.Host, n *node) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	info := must[*peer.AddrInfo](t)(peer.AddrInfoFromString(n.Addrs()[0]))
	if err := h.Connect(ctx, *info); err != nil {
		t.Fatal(err)
	}
}

// hello sends a request and returns the reply; the stream stays open for the rest.
func hello(t testing.TB, h host.Host, to peer.ID, req helloRequest) (network.Stream, helloReply) {
	t.Helper()
	s := open(t, h, to, helloProtocol)
	send(t, s, req)
	var reply helloReply
	receive(t, s, &reply)
	if reply.Refused != "" {
		s.Close()
	}
	return s, reply
}

func open(t testing.TB, h host.Host, to peer.ID, name string) network.Stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s := must[network.Stream](t)(h.NewStream(ctx, to, protocol.ID(name)))
	s.SetDeadline(time.Now().Add(patience))
	return s
}

func send(t testing.TB, w io.Writer, message any) {
	t.Helper()
	body := must[[]byte](t)(record.Encode(message))
	if _, err := w.Write(append(binary.AppendUvarint(nil, uint64(len(body))), body...)); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, r io.Reader, message any) {
	t.Helper()
	in := bufio.NewReader(r)
	body := make([]byte, must[uint64](t)(binary.ReadUvarint(in)))
	if _, err := io.ReadFull(in, body); err != nil {
		t.Fatal(err)
	}
	if err := record.Decode(body, message); err != nil {
		t.Fatal(err)
	}
}

// gone tells whether the two hosts have no connection.
func gone(h host.Host, p peer.ID) bool { return h.Network().Connectedness(p) == network.NotConnected }

// silent checks that nothing comes over s before it ends.
func silent(t testing.TB, s network.Stream) {
	t.Helper()
	b, err := io.ReadAll(s)
	if len(b) > 0 {
		t.Errorf("%s: a stranger received %d bytes: %q", s.Protocol(), len(b), b)
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("%s: a stranger's stream was kept open", s.Protocol())
	}
}

func envelopes(chain ...*record.Signed) [][]byte {
	out := [][]byte{}
	for _, s := range chain {
		out = append(out, s.Envelope)
	}
	return out
}
