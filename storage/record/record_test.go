package record_test

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	envelope "github.com/libp2p/go-libp2p/core/record"

	"github.com/mlecs/mlecs/storage/record"
)

func roundTrip[T record.Body](t *testing.T, body *T) *record.Signed {
	t.Helper()
	signed := sign(t, statement(t, body))
	opened, err := record.Open(signed.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(opened, signed) {
		t.Errorf("opened %+v\nsigned %+v", opened, signed)
	}
	got, err := record.BodyAs[T](opened)
	if err != nil {
		t.Fatal(err)
	}
	again, err := record.Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(signed.Body) {
		t.Errorf("body %+v is not what was signed, %+v", got, body)
	}
	return opened
}

func TestEveryKindSurvivesSigningAndOpening(t *testing.T) {
	t.Run("federation", func(t *testing.T) { roundTrip(t, federation(t)) })
	t.Run("certificate", func(t *testing.T) { roundTrip(t, certificate(t)) })
	t.Run("revocation", func(t *testing.T) { roundTrip(t, revocation(t)) })
	t.Run("delta", func(t *testing.T) { roundTrip(t, delta(t)) })
	t.Run("aggregate", func(t *testing.T) {
		opened := roundTrip(t, aggregate(t))
		got, err := record.BodyAs[record.Aggregate](opened)
		if err != nil {
			t.Fatal(err)
		}
		if got.Checkpoint.CID.Defined() || got.Components[0].Inputs[1].Delta.Defined() {
			t.Errorf("undefined CIDs came back defined: %+v", got)
		}
		if got.Components[0].Name != "lora" {
			t.Errorf("component name %q", got.Components[0].Name)
		}
	})
}

func TestIDDependsOnThePayloadOnly(t *testing.T) {
	a, b := sign(t, statement(t, delta(t))), sign(t, statement(t, delta(t)))
	if a.CID != b.CID {
		t.Errorf("same record, ids %s and %s", a.CID, b.CID)
	}
	p := a.CID.Prefix()
	if p.Version != 1 || p.Codec != cid.DagCBOR || p.MhLength != 32 {
		t.Errorf("id has prefix %+v", p)
	}
	other := statement(t, delta(t))
	other.Seq++
	if c := sign(t, other); c.CID == a.CID {
		t.Errorf("another sequence number, same id %s", c.CID)
	}
}

// The format is a promise to other nodes: if this fails, records of older nodes have lost their ids, and Version must go up.
func TestFormatIsFixed(t *testing.T) {
	const want = "bafyreihk2dgn5mz27rfasmecywojobojsf6p4i3zgrify7yircflpeemle"
	if got := sign(t, statement(t, federation(t))).CID.String(); got != want {
		t.Errorf("sample genesis has id %s, want %s", got, want)
	}
}

func TestBlobCIDIsRawSHA256(t *testing.T) {
	const want = "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq" // of "hello", as `ipfs add --cid-version 1 --raw-leaves` gives it
	if got := record.BlobCID([]byte("hello")).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// forged seals any payload with any key, type and domain, which Sign would not.
type forged struct {
	domain, codec string
	payload       []byte
}

func (f forged) Domain() string                 { return f.domain }
func (f forged) Codec() []byte                  { return []byte(f.codec) }
func (f forged) MarshalRecord() ([]byte, error) { return f.payload, nil }
func (f forged) UnmarshalRecord([]byte) error   { return nil }

func seal(t testing.TB, key crypto.PrivKey, payload []byte) []byte {
	t.Helper()
	return sealAs(t, key, forged{"mlecs-record", "/mlecs/record", payload})
}

func sealAs(t testing.TB, key crypto.PrivKey, f forged) []byte {
	t.Helper()
	e, err := envelope.Seal(f, key)
	if err != nil {
		t.Fatal(err)
	}
	wire, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// fields is the payload of a valid record of an unknown kind, to be spoiled.
func fields(t testing.TB, key crypto.PrivKey) map[string]any {
	t.Helper()
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"version": 1, "kind": "note", "federation": recordCID("genesis"), "author": id, "seq": 1,
		"parents": []cid.Cid{}, "created": 0, "body": map[string]any{"text": "hello"},
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	b, err := record.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOpenRefuses(t *testing.T) {
	key := keyOf(t, 1)
	valid := sign(t, statement(t, delta(t))).Envelope
	payload := encode(t, fields(t, key))
	flipped := append([]byte(nil), valid...)
	flipped[len(flipped)/2] ^= 1

	for name, c := range map[string]struct {
		wire []byte
		want error
	}{
		"nothing":                         {nil, record.ErrSignature},
		"text":                            {[]byte("hello"), record.ErrSignature},
		"half an envelope":                {valid[:len(valid)/2], record.ErrSignature},
		"a flipped bit":                   {flipped, record.ErrSignature},
		"more than 64 KiB":                {make([]byte, record.MaxSize+1), record.ErrTooLarge},
		"another domain":                  {sealAs(t, key, forged{"libp2p-peer-record", "/mlecs/record", payload}), record.ErrSignature},
		"another payload type":            {sealAs(t, key, forged{"mlecs-record", "/other", payload}), record.ErrSignature},
		"an envelope with a second field": {append(append([]byte(nil), valid...), 0x7a, 0), record.ErrSignature},
		"an author who is not the signer": {seal(t, keyOf(t, 2), payload), record.ErrSignature},
		"an RSA key":                      {seal(t, rsaKey(t), payload), record.ErrSignature},
		"a payload that is not CBOR":      {seal(t, key, []byte("hello")), record.ErrNotCanonical},
		"bytes after the payload":         {seal(t, key, append(append([]byte(nil), payload...), 0)), record.ErrNotCanonical},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := record.Open(c.wire); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	if _, err := record.Open(seal(t, key, payload)); err != nil {
		t.Errorf("the unspoiled payload: %v", err)
	}
}

func TestOpenRefusesABrokenHeader(t *testing.T) {
	key := keyOf(t, 1)
	for name, spoil := range map[string]func(map[string]any){
		"version 0":            func(m map[string]any) { m["version"] = 0 },
		"unknown field":        func(m map[string]any) { m["extra"] = 1 },
		"missing field":        func(m map[string]any) { delete(m, "created") },
		"kind with a space":    func(m map[string]any) { m["kind"] = "a b" },
		"empty kind":           func(m map[string]any) { m["kind"] = "" },
		"no federation":        func(m map[string]any) { m["federation"] = nil },
		"federation is a blob": func(m map[string]any) { m["federation"] = record.BlobCID(nil) },
		"sequence number 0":    func(m map[string]any) { m["seq"] = 0 },
		"last sequence number": func(m map[string]any) { m["seq"] = uint64(math.MaxUint64) },
		"negative sequence":    func(m map[string]any) { m["seq"] = -1 },
		"parent undefined":     func(m map[string]any) { m["parents"] = []cid.Cid{cid.Undef} },
		"parent twice":         func(m map[string]any) { m["parents"] = []cid.Cid{recordCID("a"), recordCID("a")} },
		"author is text":       func(m map[string]any) { m["author"] = "me" },
		"seq is a float":       func(m map[string]any) { m["seq"] = 1.0 },
		"parents is null":      func(m map[string]any) { m["parents"] = nil },
		"delta without fields": func(m map[string]any) { m["kind"] = "delta" },
	} {
		t.Run(name, func(t *testing.T) {
			m := fields(t, key)
			spoil(m)
			if _, err := record.Open(seal(t, key, encode(t, m))); !errors.Is(err, record.ErrInvalid) {
				t.Errorf("got %v, want %v", err, record.ErrInvalid)
			}
		})
	}
}

func TestUnknownKindsAndNewerVersionsOpenButAreNotActedOn(t *testing.T) {
	key := keyOf(t, 1)
	unknown, err := record.Open(seal(t, key, encode(t, fields(t, key))))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := record.BodyAs[record.Delta](unknown); !errors.Is(err, record.ErrKind) {
		t.Errorf("unknown kind: got %v, want %v", err, record.ErrKind)
	}

	m := fields(t, key)
	m["version"], m["kind"], m["extra"], m["body"] = 2, "delta", "from the future", []int{1, 2}
	newer, err := record.Open(seal(t, key, encode(t, m)))
	if err != nil {
		t.Fatal(err)
	}
	if newer.Version != 2 || newer.Seq != 1 {
		t.Errorf("header of a newer version: %+v", newer.Record)
	}
	if _, err := record.BodyAs[record.Delta](newer); !errors.Is(err, record.ErrUnsupported) {
		t.Errorf("newer version: got %v, want %v", err, record.ErrUnsupported)
	}
	stored, err := record.OpenStored(newer.CID, newer.Envelope)
	if err != nil || !reflect.DeepEqual(stored, newer) {
		t.Errorf("stored: %+v, %v", stored, err)
	}
}

func TestOpenStoredComparesTheID(t *testing.T) {
	a := sign(t, statement(t, delta(t)))
	if _, err := record.OpenStored(recordCID("other"), a.Envelope); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("got %v, want %v", err, record.ErrInvalid)
	}
	got, err := record.OpenStored(a.CID, a.Envelope)
	if err != nil || !reflect.DeepEqual(got, a) {
		t.Errorf("got %+v, %v, want %+v", got, err, a)
	}
}

func TestBodyAsRefusesAnotherKind(t *testing.T) {
	if _, err := record.BodyAs[record.Aggregate](sign(t, statement(t, delta(t)))); !errors.Is(err, record.ErrKind) {
		t.Errorf("got %v, want %v", err, record.ErrKind)
	}
}

func TestSignRefuses(t *testing.T) {
	r := statement(t, delta(t))
	if _, err := record.Sign(rsaKey(t), r); err == nil {
		t.Error("an RSA key signed a record")
	}
	r.Body = []byte("hello")
	if _, err := record.Sign(keyOf(t, 1), r); err == nil {
		t.Error("a body that is not CBOR was signed")
	}
	r = statement(t, delta(t))
	r.Federation = cid.Undef
	if _, err := record.Sign(keyOf(t, 1), r); !errors.Is(err, record.ErrInvalid) {
		t.Errorf("no federation: %v", err)
	}
	r = statement(t, delta(t))
	r.Kind, r.Body = "note", encode(t, strings.Repeat("x", record.MaxSize))
	if _, err := record.Sign(keyOf(t, 1), r); !errors.Is(err, record.ErrTooLarge) {
		t.Errorf("large body: %v", err)
	}
}
