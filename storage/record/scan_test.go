package record

import (
	"bytes"
	"crypto/rand"
	"errors"
	"reflect"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

func member(t *testing.T) peer.ID {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// damaged is the encoding of v, in most cases with a byte changed, left out or added.
func damaged(t *rapid.T, v any) []byte {
	b, err := Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	at := rapid.IntRange(0, len(b)).Draw(t, "at")
	value := rapid.SampledFrom([]byte{0x00, 0x01, 0x17, 0x18, 0x20, 0x40, 0x60, 0x80, 0xa0, 0xd8, 0xf4, 0xf5, 0xf6, 0xff}).Draw(t, "value")
	switch rapid.IntRange(0, 3).Draw(t, "damage") {
	case 1:
		b[at%len(b)] = value
	case 2:
		b = append(b[:at:at], b[min(at+1, len(b)):]...)
	case 3:
		b = append(append(b[:at:at], value), b[at:]...)
	}
	return b
}

func mustFareAlike(t *rapid.T, b []byte, got any, err error, want any, wantErr error) {
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%x: %v; Decode: %v", b, err, wantErr)
	}
	if err == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%x was read as %+v, by Decode as %+v", b, got, want)
	}
}

// broken is the rule that a body breaks.
func broken(body checked) error {
	var c checker
	body.validate(&c)
	return c.err
}

func TestCertificateIsReadAsByDecode(t *testing.T) {
	subject := member(t)
	rapid.Check(t, func(t *rapid.T) {
		b := damaged(t, &Certificate{
			Subject: subject, Name: rapid.StringMatching(`[a-z]{0,30}`).Draw(t, "name"), Role: RoleSuper,
			Invite: rapid.Bool().Draw(t, "invite"), Delegate: rapid.Bool().Draw(t, "delegate"), Expires: rapid.Int64().Draw(t, "expires"),
			Heir: rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "heir"),
		})
		var got, want Certificate
		err, wantErr := got.scan(b), Decode(b, &want)
		mustFareAlike(t, b, got, errors.Join(err, broken(&got)), want, errors.Join(wantErr, broken(&want)))
	})
}

func TestHeaderIsReadAsByDecode(t *testing.T) {
	author := member(t)
	rapid.Check(t, func(t *rapid.T) {
		body, err := Encode(rapid.MapOf(rapid.StringMatching(`[a-z]{1,4}`), rapid.Int()).Draw(t, "body"))
		if err != nil {
			t.Fatal(err)
		}
		p := payload{
			Version: rapid.Uint64Range(1, 2).Draw(t, "version"), Kind: KindDelta, Author: author,
			Seq: rapid.Uint64().Draw(t, "seq"), Created: rapid.Int64().Draw(t, "created"), Body: body, Parents: []cid.Cid{},
		}
		if rapid.Bool().Draw(t, "in a federation") {
			p.Federation = PayloadCID([]byte("genesis"))
		}
		for range rapid.IntRange(0, 2).Draw(t, "parents") {
			p.Parents = append(p.Parents, PayloadCID(body))
		}
		b := damaged(t, p)
		got, err := scanHeader(b)
		var want payload
		wantErr := Decode(b, &want)
		if got.Version != Version && err == nil {
			return // Decode is stricter with what may have further fields
		}
		if !bytes.Equal(got.Body, want.Body) && err == nil {
			t.Fatalf("%x: body %x, by Decode %x", b, got.Body, want.Body)
		}
		same := Record{want.Version, want.Kind, want.Federation, want.Author, want.Seq, want.Parents, want.Created, got.Body}
		mustFareAlike(t, b, got, errors.Join(err, got.validate()), same, errors.Join(wantErr, same.validate()))
	})
}
