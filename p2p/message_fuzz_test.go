package p2p

import (
	"bytes"
	"testing"

	"github.com/mlecs/mlecs/storage/record"
)

func FuzzReadHello(f *testing.F) {
	for _, message := range []any{
		&helloRequest{Federation: record.PayloadCID([]byte("x")), Chain: [][]byte{{1, 2}}, WantGenesis: true},
		&helloReply{Refused: "no", Peers: []introduction{{ID: "\x00\x01a", Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}}},
		&helloDone{OK: true},
	} {
		var b bytes.Buffer
		if err := writeMessage(&b, message); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f}) // a length beyond the limit
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, message := range []any{new(helloRequest), new(helloReply), new(helloDone)} {
			if err := readMessage(bytes.NewReader(b), message); err != nil {
				continue
			}
			var again bytes.Buffer
			if err := writeMessage(&again, message); err != nil {
				t.Fatal(err)
			}
			if req, ok := message.(*helloRequest); ok {
				openChain(req.Chain)
			}
			if reply, ok := message.(*helloReply); ok {
				if clean := []rune(printable(reply.Refused)); len(clean) > maxReason+len("...") {
					t.Errorf("%d characters of a reason would be logged", len(clean))
				}
				for _, p := range reply.Peers {
					readAddrs(p.Addrs)
				}
			}
		}
	})
}
