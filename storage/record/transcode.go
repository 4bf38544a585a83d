package record

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// cid.Cid and peer.ID belong to other modules, so they cannot carry CBOR methods. Both have JSON methods, and the CBOR library lets
// such types be written through a transcoder: {"/":"bafy..."} <-> tag 42, "12D3..." <-> byte string, null <-> null.

// toCBOR turns the JSON of a cid.Cid or peer.ID into its DAG-CBOR form.
type toCBOR struct{}

func (toCBOR) Transcode(dst io.Writer, src io.Reader) error {
	text, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	switch {
	case string(text) == "null":
		return write(dst, nil)
	case len(text) > 0 && text[0] == '"':
		var id peer.ID
		if err := json.Unmarshal(text, &id); err != nil {
			return fmt.Errorf("peer id %s: %w", text, err)
		}
		return write(dst, []byte(id))
	default:
		var c cid.Cid
		if err := json.Unmarshal(text, &c); err != nil {
			return fmt.Errorf("CID %.80s: %w", text, err)
		}
		return write(dst, cbor.Tag{Number: tagCID, Content: append([]byte{0}, c.Bytes()...)})
	}
}

func write(dst io.Writer, v any) error {
	b, err := cbor.Marshal(v)
	if err != nil {
		return err
	}
	_, err = dst.Write(b)
	return err
}

// fromCBOR is the inverse of toCBOR. It spells CIDs and peer ids in base 16, which their JSON methods read far sooner than the usual bases 32
// and 58.
type fromCBOR struct{}

func (fromCBOR) Transcode(dst io.Writer, src io.Reader) error {
	item, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	text := "null"
	if len(item) != 1 || item[0] != cborNull {
		if text, err = jsonOf(item); err != nil {
			return err
		}
	}
	_, err = io.WriteString(dst, text)
	return err
}

// jsonOf is the JSON of a CID or a peer id.
func jsonOf(item []byte) (string, error) {
	s := scanner{b: item}
	major, n, err := s.head()
	if err != nil {
		return "", err
	}
	switch major {
	case majorBytes:
		b, err := s.take(n)
		if err != nil {
			return "", err
		}
		id, err := peer.IDFromBytes(b)
		if err != nil {
			return "", fmt.Errorf("peer id: %w", err)
		}
		return `"` + base16(peer.ToCid(id)) + `"`, nil
	case majorTag:
		c, err := s.link(n)
		if err != nil {
			return "", err
		}
		return `{"/":"` + base16(c) + `"}`, nil
	default:
		return "", fmt.Errorf("expected a CID or a peer id, found CBOR of major type %d", major)
	}
}

// base16 is a CID as text, after the letter that tells the base.
func base16(c cid.Cid) string { return "f" + hex.EncodeToString(c.Bytes()) }
