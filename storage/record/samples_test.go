package record_test

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/storage/record"
)

// keyOf makes the Ed25519 key of a one-byte seed.
func keyOf(t testing.TB, seed byte) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func rsaKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func idOf(t testing.TB, seed byte) peer.ID {
	t.Helper()
	id, err := peer.IDFromPrivateKey(keyOf(t, seed))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func blobOf(text string) record.Blob {
	return record.Blob{CID: record.BlobCID([]byte(text)), Bytes: int64(len(text))}
}

func recordCID(text string) cid.Cid { return record.PayloadCID([]byte(text)) }

// A sample of every kind, with every field set.

func federation(t testing.TB) *record.Federation {
	return &record.Federation{
		Name:    "homes",
		Founder: idOf(t, 1),
		Data: record.DataSet{
			Name: "falls", Generated: true, Rows: 120, Index: blobOf("index"), Targets: blobOf("targets"),
			Modalities: []record.Modality{
				{Name: "accel", Kind: "series", Shape: []int{3, 64}, Channels: []string{"x", "y", "z"},
					Mean: []float64{0, 0.5, 1}, Std: []float64{1, 1, 1}, Archive: blobOf("accel")},
				{Name: "sound", Kind: "audio", Shape: []int{1, 32, 32}, Rate: 8000, Seconds: 2, Archive: blobOf("sound")},
			},
		},
		Bases: record.Bases{
			Edge:  []record.Base{{Name: "small", Params: 1000, Blob: blobOf("small")}, {Name: "other", Params: 900, Blob: blobOf("other")}},
			Super: record.Base{Name: "large", Params: 9000, Blob: blobOf("large")},
		},
		Method: record.Method{Name: "ml-ecs", Config: []byte{0xa0}},
		Policy: record.RoundPolicy{Rounds: 5, Quorum: 0.75, Min: 2, Deadline: 60_000},
		Share:  []string{"lora", "encoder"},
	}
}

func certificate(t testing.TB) *record.Certificate {
	return &record.Certificate{Subject: idOf(t, 2), Name: "kitchen", Role: record.RoleEdge, Expires: 1_900_000_000}
}

func revocation(testing.TB) *record.Revocation {
	return &record.Revocation{Certificate: recordCID("certificate"), Reason: "lost"}
}

func component(name string) record.Component {
	return record.Component{Name: name, Signature: "5f3a", Codec: "safetensors", Params: 512, Blob: blobOf(name)}
}

func delta(testing.TB) *record.Delta {
	return &record.Delta{
		Round: 3, Base: blobOf("small").CID, Modalities: []string{"accel", "sound"}, Rows: 40, Public: 80,
		Components: []record.Component{component("lora"), component("encoder/accel")},
		Metrics:    map[string]float64{"loss": 0.25, "rouge_lsum": 0.7},
	}
}

func aggregate(t testing.TB) *record.Aggregate {
	return &record.Aggregate{
		Round: 3,
		Inputs: []record.Input{
			{Delta: recordCID("a"), Round: 2, Author: idOf(t, 2), Modalities: []string{"accel"}, Weight: 0.25},
			{Delta: recordCID("b"), Round: 3, Author: idOf(t, 3), Modalities: []string{"accel", "sound"}, Weight: 0.75},
		},
		Components: []record.AggregatedComponent{{
			Component: component("lora"), Rule: "weighted-mean",
			Inputs: []record.ComponentWeight{{Delta: recordCID("a"), Weight: 1}, {Delta: cid.Undef, Weight: 3}},
		}},
		Supervision: blobOf("supervision"),
		Metrics:     map[string]float64{"loss": 0.125},
	}
}

func contribution(testing.TB) *record.Contribution {
	return &record.Contribution{Round: 3, Rows: 80, Components: []record.Component{component("lora"), component("encoder/accel")}}
}

func dispute(testing.TB) *record.Dispute {
	return &record.Dispute{
		Aggregate: recordCID("aggregate"), Component: "lora", Signature: "5f3a",
		Claimed: blobOf("claimed").CID, Found: blobOf("found").CID, Reason: "the blob is not the mean of the inputs",
	}
}

func policy(testing.TB) *record.Policy {
	return &record.Policy{
		Round: record.RoundPolicy{Rounds: 9, Quorum: 0.5, Min: 1, Deadline: 30_000}, Steps: record.Steps{CCL: 10, AMT: 20, Cloud: 30},
		KeepRounds: 4, Paused: true, Reason: "maintenance",
	}
}

// statement is a header for a body in the sample federation.
func statement[T record.Body](t testing.TB, body *T) record.Record {
	t.Helper()
	kind, b, err := record.NewBody(body)
	if err != nil {
		t.Fatal(err)
	}
	r := record.Record{Kind: kind, Seq: 7, Created: 1_700_000_000_000, Body: b, Parents: []cid.Cid{recordCID("parent")}}
	if kind != record.KindFederation {
		r.Federation = recordCID("genesis")
	}
	return r
}

func sign(t testing.TB, r record.Record) *record.Signed {
	t.Helper()
	s, err := record.Sign(keyOf(t, 1), r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
