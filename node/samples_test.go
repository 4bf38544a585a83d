package node

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/storage"
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

// someFederation stands for a genesis where only its CID matters.
var someFederation = record.PayloadCID([]byte("federation"))

func sign[T record.Body](t testing.TB, seed byte, seq uint64, created int64, body *T, parents ...cid.Cid) *record.Signed {
	t.Helper()
	kind, b, err := record.NewBody(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := record.Sign(keyOf(t, seed), record.Record{
		Version: record.Version, Kind: kind, Federation: someFederation, Seq: seq, Parents: parents, Created: created, Body: b,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newStore(t testing.TB) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.TempDir(), storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// tinyRow is a row of a tiny data set: a grey image, a short series, and a target of two words that tells how bright and how fast.
type tinyRow struct {
	id, target, split string
	lacks             string // a modality that the row has no file of
}

// tinyRows makes rows with balanced targets; ids and, in writeTiny, file names tell the target, as those of real data sets do.
func tinyRows(prefix string, train, test int) []tinyRow {
	var rows []tinyRow
	for i := range train + test {
		split := "train"
		if i >= train {
			split = "test"
		}
		target := []string{"dark", "bright"}[i%2] + " " + []string{"slow", "fast"}[i/2%2]
		rows = append(rows, tinyRow{id: fmt.Sprintf("%s-%s-%d", prefix, strings.ReplaceAll(target, " ", "-"), i), target: target, split: split})
	}
	return rows
}

// writeTiny writes rows as a data set folder with the modalities image and sensor.
func writeTiny(t testing.TB, dir string, seed uint64, rows []tinyRow) *data.Set {
	t.Helper()
	for _, m := range []string{"image", "sensor"} {
		if err := os.MkdirAll(filepath.Join(dir, m), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	var meta strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&meta, `{"id": %q, "target": %q, "split": %q, "domain": "home-1", "label": %q`, r.id, r.target, r.split, r.target)
		if r.lacks != "image" {
			fmt.Fprintf(&meta, `, "image_file_name": "image/%s.png"`, r.id)
			writeFileT(t, filepath.Join(dir, "image", r.id+".png"), tinyImage(t, rng, strings.Contains(r.target, "bright")))
		}
		if r.lacks != "sensor" {
			fmt.Fprintf(&meta, `, "sensor_file_name": "sensor/%s.csv"`, r.id)
			writeFileT(t, filepath.Join(dir, "sensor", r.id+".csv"), tinySeries(rng, strings.Contains(r.target, "fast")))
		}
		meta.WriteString("}\n")
	}
	writeFileT(t, filepath.Join(dir, metadataFile), []byte(meta.String()))
	set, err := data.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func writeFileT(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func tinyImage(t testing.TB, rng *rand.Rand, bright bool) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 8, 8))
	level := 40
	if bright {
		level = 180
	}
	for i := range 64 {
		img.SetGray(i%8, i/8, color.Gray{Y: uint8(level + rng.IntN(40))})
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func tinySeries(rng *rand.Rand, fast bool) []byte {
	var b strings.Builder
	b.WriteString("t_ms,ax,ay\n")
	step := 0.2
	if fast {
		step = 1.5
	}
	x := 0.0
	for i := range 16 {
		x += step
		fmt.Fprintf(&b, "%d,%.3f,%.3f\n", i*20, x+rng.Float64()/10, rng.Float64())
	}
	return []byte(b.String())
}
