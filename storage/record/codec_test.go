package record_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"

	"github.com/mlecs/mlecs/storage/record"
)

func TestEncodingOfEachType(t *testing.T) {
	link := recordCID("x")
	for name, c := range map[string]struct {
		v    any
		want string
	}{
		"keys by length, then bytes": {map[string]int{"bb": 1, "a": 2, "c": 3}, "a3616102616303626262" + "01"},
		"CID":                        {link, "d82a" + "5825" + "00" + hex.EncodeToString(link.Bytes())},
		"no CID":                     {cid.Undef, "f6"},
		"peer id":                    {idOf(t, 1), "5826" + hex.EncodeToString([]byte(idOf(t, 1)))},
		"float":                      {1.5, "fb3ff8000000000000"},
		"nil slice":                  {[]string(nil), "80"},
		"nil map":                    {map[string]int(nil), "a0"},
		"nil bytes":                  {[]byte(nil), "40"},
		"largest integer":            {uint64(math.MaxUint64), "1bffffffffffffffff"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := hex.EncodeToString(encode(t, c.v)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, v := range map[string]any{
		"NaN":           math.NaN(),
		"infinity":      math.Inf(-1),
		"32-bit float":  float32(1.5),
		"integer keys":  map[int]int{1: 2},
		"empty peer id": peer.ID(""),
		"bad UTF-8":     "\xff",
		"channel":       make(chan int),
	} {
		t.Run(name, func(t *testing.T) {
			if b, err := record.Encode(v); err == nil {
				t.Errorf("encoded as %x", b)
			}
		})
	}
}

func TestDecodeRefusesWhatIsNotCanonical(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                     "",
		"trailing byte":             "0000",
		"long integer":              "1800",
		"long text length":          "780161" + "61",
		"long 64-bit integer":       "1b00000000ffffffff",
		"unsorted keys":             "a2" + "626161" + "00" + "6162" + "00",
		"key twice":                 "a2" + "6161" + "00" + "6161" + "01",
		"integer key":               "a10000",
		"indefinite bytes":          "5f4100ff",
		"indefinite array":          "9fff",
		"indefinite map":            "bfff",
		"break alone":               "ff",
		"undefined":                 "f7",
		"simple value":              "f820",
		"half float":                "f93e00",
		"single float":              "fa3fc00000",
		"NaN":                       "fb7ff8000000000000",
		"infinity":                  "fb7ff0000000000000",
		"time tag":                  "c100",
		"bignum":                    "c24101",
		"CID without prefix":        "d82a" + "5824" + hex.EncodeToString(recordCID("x").Bytes()),
		"CID that is text":          "d82a6161",
		"CID that is garbage":       "d82a4400010203",
		"bad UTF-8":                 "61ff",
		"length beyond the end":     "5bffffffffffffffff00",
		"array beyond the end":      "9bffffffffffffffff00",
		"nested deeper than anyone": strings.Repeat("81", 40) + "00",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := record.Decode(b, &v); !errors.Is(err, record.ErrNotCanonical) {
				t.Errorf("decoded as %#v, %v", v, err)
			}
		})
	}
}

func TestDecodeIsStrictAboutFields(t *testing.T) {
	type pair struct {
		A int     `cbor:"a"`
		B float64 `cbor:"b"`
	}
	for name, v := range map[string]map[string]any{
		"missing":             {"a": 1},
		"unknown":             {"a": 1, "b": 2.0, "c": 3},
		"another case":        {"A": 1, "b": 2.0},
		"integer for a float": {"a": 1, "b": 2},
		"null for a number":   {"a": nil, "b": 2.0},
	} {
		t.Run(name, func(t *testing.T) {
			var got pair
			if err := record.Decode(encode(t, v), &got); err == nil {
				t.Errorf("decoded as %+v", got)
			}
		})
	}
	var got pair
	if err := record.Decode(encode(t, map[string]any{"a": 1, "b": 2.0}), &got); err != nil || got != (pair{1, 2}) {
		t.Errorf("got %+v, %v", got, err)
	}
}

// node is a value with every type that bodies use.
type node struct {
	Text   string             `cbor:"text"`
	Number int64              `cbor:"number"`
	Count  uint64             `cbor:"count"`
	Real   float64            `cbor:"real"`
	Flag   bool               `cbor:"flag"`
	Bytes  []byte             `cbor:"bytes"`
	Links  []cid.Cid          `cbor:"links"`
	Peers  []peer.ID          `cbor:"peers"`
	Table  map[string]float64 `cbor:"table"`
	Blob   record.Blob        `cbor:"blob"`
}

func TestDecodeInvertsEncode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		real := rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64)
		link := rapid.Custom(func(t *rapid.T) cid.Cid {
			return rapid.SampledFrom([]cid.Cid{cid.Undef, record.BlobCID(rapid.SliceOf(rapid.Byte()).Draw(t, "content"))}).Draw(t, "link")
		})
		who := rapid.Custom(func(t *rapid.T) peer.ID {
			raw := append([]byte{0, 36, 8, 1, 18, 32}, rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")...)
			return peer.ID(raw)
		})
		in := node{
			Text: rapid.String().Draw(t, "text"), Number: rapid.Int64().Draw(t, "number"), Count: rapid.Uint64().Draw(t, "count"),
			Real: real.Draw(t, "real"), Flag: rapid.Bool().Draw(t, "flag"), Bytes: rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"),
			Links: rapid.SliceOf(link).Draw(t, "links"), Peers: rapid.SliceOf(who).Draw(t, "peers"),
			Table: rapid.MapOf(rapid.String(), real).Draw(t, "table"), Blob: record.Blob{CID: link.Draw(t, "blob"), Bytes: 5},
		}
		b, err := record.Encode(in)
		if err != nil {
			t.Fatal(err)
		}
		var out node
		if err := record.Decode(b, &out); err != nil {
			t.Fatal(err)
		}
		again, err := record.Encode(out)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("in %+v\nout %+v\n%v", in, out, err)
		}
		if out.Text != in.Text || out.Real != in.Real || len(out.Links) != len(in.Links) || out.Blob != in.Blob {
			t.Fatalf("in %+v\nout %+v", in, out)
		}
	})
}

func TestLinksOfABody(t *testing.T) {
	body := aggregate(t)
	_, b, err := record.NewBody(body)
	if err != nil {
		t.Fatal(err)
	}
	links, err := record.Links(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []cid.Cid{body.Inputs[0].Delta, body.Inputs[1].Delta, body.Components[0].Blob.CID, body.Supervision.CID} {
		if !slices.Contains(links, want) {
			t.Errorf("%s is not among %v", want, links)
		}
	}
	if _, err := record.Links(b[:len(b)-1]); err == nil {
		t.Error("links of a body that ends early")
	}
}
