package record_test

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/mlecs/mlecs/storage/record"
)

// What Open accepts has one spelling and can be stored and opened again.
func FuzzOpen(f *testing.F) {
	key := keyOf(f, 1)
	f.Add(sign(f, statement(f, federation(f))).Envelope)
	f.Add(sign(f, statement(f, certificate(f))).Envelope)
	f.Add(sign(f, statement(f, aggregate(f))).Envelope)
	f.Add(sign(f, statement(f, contribution(f))).Envelope)
	f.Add(sign(f, statement(f, dispute(f))).Envelope)
	f.Add(sign(f, statement(f, policy(f))).Envelope)
	f.Add(seal(f, key, encode(f, fields(f, key))))
	f.Add([]byte{0x12, 0x00})
	f.Fuzz(func(t *testing.T, wire []byte) {
		r, err := record.Open(wire)
		if err != nil {
			return
		}
		stored, err := record.OpenStored(r.CID, r.Envelope)
		if err != nil || !reflect.DeepEqual(stored, r) {
			t.Errorf("opened %+v, stored %+v, %v", r, stored, err)
		}
	})
}

// A signature would stop nearly every mutated envelope, so the payload is fuzzed below it.
func FuzzPayload(f *testing.F) {
	key := keyOf(f, 1)
	for _, kind := range []string{"note", "delta", "aggregate", "federation", "certificate", "revocation", "contribution", "dispute", "policy"} {
		m := fields(f, key)
		m["kind"] = kind
		f.Add(encode(f, m))
	}
	f.Add(encode(f, delta(f)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := record.Open(seal(t, key, payload))
		if err != nil {
			return
		}
		if r.CID != record.PayloadCID(payload) {
			t.Errorf("id %s", r.CID)
		}
	})
}

// Every body that decodes has exactly the bytes that it encodes to.
func FuzzDecode(f *testing.F) {
	f.Add(encode(f, federation(f)))
	f.Add(encode(f, certificate(f)))
	f.Add(encode(f, revocation(f)))
	f.Add(encode(f, delta(f)))
	f.Add(encode(f, aggregate(f)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, v := range []any{new(any), new(record.Federation), new(record.Certificate), new(record.Revocation), new(record.Delta), new(record.Aggregate)} {
			if record.Decode(b, v) != nil {
				continue
			}
			again, err := record.Encode(v)
			if err != nil || !bytes.Equal(again, b) {
				t.Errorf("%T: %x became %x, %v", v, b, again, err)
			}
		}
	})
}
