package record

import (
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

// fromCBOR is the inverse of toCBOR.
type fromCBOR struct{}

func (fromCBOR) Transcode(dst io.Writer, src io.Reader) error {
	item, err := io.ReadAll(src)
	if err != nil {
		return err
	}
	var v any
	if err := cbor.Unmarshal(item, &v); err != nil {
		return err
	}
	var text []byte
	switch v := v.(type) {
	case nil:
		text = []byte("null")
	case []byte:
		id, err := peer.IDFromBytes(v)
		if err != nil {
			return fmt.Errorf("peer id: %w", err)
		}
		text, err = id.MarshalJSON()
		if err != nil {
			return err
		}
	case cbor.Tag:
		content, ok := v.Content.([]byte)
		if v.Number != tagCID || !ok {
			return fmt.Errorf("tag %d is not a CID", v.Number)
		}
		c, err := linkFromBytes(content)
		if err != nil {
			return err
		}
		text, err = c.MarshalJSON()
		if err != nil {
			return err
		}
	default:
		return fmt.Errorf("expected a CID or a peer id, found %T", v)
	}
	_, err = dst.Write(text)
	return err
}
