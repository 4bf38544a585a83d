//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/mlecs/mlecs/node"
	"github.com/mlecs/mlecs/node/api"
	"github.com/mlecs/mlecs/p2p"
	"github.com/mlecs/mlecs/storage"
	"github.com/mlecs/mlecs/storage/record"
)

// longHome is the home of a super-peer with a history of many rounds of the same edges.
type longHome struct {
	dir       string
	delta     string // CID of one in the middle of the history
	aggregate string // of the last round
	records   int
}

const longEdges = 8

// newLongHome makes a home of n records or a few more: of each round a delta of every edge, a contribution and an aggregate of all of them.
// The blobs that they name are not there, as after a sweep.
func newLongHome(t testing.TB, n int) *longHome {
	t.Helper()
	rows := filepath.Join(t.TempDir(), "rows")
	h := &longHome{dir: filepath.Join(t.TempDir(), "home")}
	for _, args := range [][]string{
		{"data", "generate", rows, "--homes", "1", "--rows-per-home", "12"},
		{"init", "--home", h.dir, "--name", "super-1", "--role", "super"},
		{"federation", "create", "--home", h.dir, "--data", rows},
	} {
		if out, errOut, code := mlecs(args...); code != exitOK {
			t.Fatalf("mlecs %s: %d, %s%s", strings.Join(args, " "), code, out, errOut)
		}
	}
	var status api.Status
	out, _, _ := mlecs("status", "--home", h.dir, "--json")
	if err := json.Unmarshal([]byte(out), &status); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	federation, err := cid.Decode(status.Federation)
	if err != nil {
		t.Fatal(err)
	}
	store, err := storage.Open(h.dir, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	w := &historyWriter{t: t, store: store, federation: federation, created: time.Now().Add(-time.Duration(n) * time.Second), seq: map[crypto.PrivKey]uint64{}}
	w.write(h, n)
	return h
}

// historyWriter signs records and stores many at once.
type historyWriter struct {
	t          testing.TB
	store      *storage.Store
	federation cid.Cid
	created    time.Time
	seq        map[crypto.PrivKey]uint64
	pending    []*record.Signed
}

func (w *historyWriter) write(h *longHome, n int) {
	super, founder := homeKey(w.t, h.dir, "identity.key"), homeKey(w.t, h.dir, "founder.key")
	edges := make([]crypto.PrivKey, longEdges)
	ids := make([]peer.ID, longEdges)
	random := rand.NewChaCha8([32]byte{1})
	for i := range edges {
		var err error
		if edges[i], _, err = crypto.GenerateEd25519Key(random); err != nil {
			w.t.Fatal(err)
		}
		if ids[i], err = peer.IDFromPrivateKey(edges[i]); err != nil {
			w.t.Fatal(err)
		}
		if _, err := p2p.Certify(w.store, founder, w.federation, ids[i], fmt.Sprint("edge-", i+1), record.RoleEdge, time.Now().AddDate(1, 0, 0)); err != nil {
			w.t.Fatal(err)
		}
	}
	before := sign(w, super, &record.Aggregate{}, w.federation)
	for round := uint64(1); w.store.Count()+len(w.pending) < n; round++ {
		parents := []cid.Cid{before.CID}
		body := &record.Aggregate{Round: round, Supervision: someBlob("supervision", round), Checkpoint: someBlob("checkpoint", round)}
		for i, key := range edges {
			d := sign(w, key, &record.Delta{
				Round: round, Base: someBlob("base", 0).CID, Modalities: []string{"image", "sensor"}, Rows: 100, Public: 50,
				Components: someComponents(round*longEdges + uint64(i)), Metrics: map[string]float64{"loss": 0.5},
			}, before.CID)
			parents = append(parents, d.CID)
			body.Inputs = append(body.Inputs, record.Input{Delta: d.CID, Round: round, Author: ids[i], Modalities: []string{"image", "sensor"}, Weight: 1.0 / longEdges})
			if w.store.Count() < n/2 {
				h.delta = d.CID.String()
			}
		}
		own := sign(w, super, &record.Contribution{Round: round, Rows: 50, Components: someComponents(round)}, before.CID)
		for _, c := range someComponents(round << 32) {
			part := record.AggregatedComponent{Component: c, Rule: "mma"}
			for _, in := range body.Inputs {
				part.Inputs = append(part.Inputs, record.ComponentWeight{Delta: in.Delta, Weight: in.Weight})
			}
			body.Components = append(body.Components, part)
		}
		before = sign(w, super, body, append(parents, own.CID)...)
	}
	w.flush()
	h.aggregate, h.records = before.CID.String(), w.store.Count()
}

func someBlob(what string, n uint64) record.Blob {
	return record.Blob{CID: record.BlobCID(fmt.Appendf(nil, "%s %d", what, n)), Bytes: 100_000}
}

func someComponents(n uint64) (all []record.Component) {
	for _, name := range []string{"lora", "encoder/image", "encoder/sensor", "connector"} {
		all = append(all, record.Component{Name: name, Signature: "64x16", Codec: "safetensors", Params: 25_000, Blob: someBlob(name, n)})
	}
	return all
}

func sign[T record.Body](w *historyWriter, key crypto.PrivKey, body *T, parents ...cid.Cid) *record.Signed {
	w.t.Helper()
	kind, b, err := record.NewBody(body)
	if err != nil {
		w.t.Fatal(err)
	}
	w.seq[key]++
	w.created = w.created.Add(time.Second)
	r, err := record.Sign(key, record.Record{
		Version: record.Version, Kind: kind, Federation: w.federation, Seq: w.seq[key], Parents: parents, Created: w.created.UnixMilli(), Body: b,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.pending = append(w.pending, r); len(w.pending) == storage.MaxPut {
		w.flush()
	}
	return r
}

func (w *historyWriter) flush() {
	w.t.Helper()
	if _, err := w.store.PutRecords(w.pending); err != nil {
		w.t.Fatal(err)
	}
	w.pending = nil
}

func homeKey(t testing.TB, dir, name string) crypto.PrivKey {
	t.Helper()
	key, err := node.ReadKey(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// inspections are the commands that read a home or ask its node; those of a node that runs only are the rest.
func (h *longHome) inspections() (both, runningOnly [][]string) {
	return [][]string{
		{"status"}, {"rounds"}, {"rounds", "--last", "1000"}, {"deltas"}, {"delta", "show", h.delta[:20]}, {"delta", "lineage", h.aggregate[:20]},
		{"peers"}, {"members"}, {"models"}, {"config", "show"}, {"doctor"},
	}, [][]string{{"log"}, {"metrics"}, {"top", "--once"}}
}

// run runs a command in a process of its own, as a user does.
func (h *longHome) run(t testing.TB, args ...string) (out string, wall, cpu time.Duration) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, append(slices.Clone(args), "--home", h.dir)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	began := time.Now()
	err = cmd.Run()
	wall = time.Since(began)
	if err != nil && args[0] != "doctor" { // which fails if it finds something bad
		t.Fatalf("mlecs %s: %v: %s", strings.Join(args, " "), err, e.String())
	}
	return o.String(), wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// start runs a node on the home until stop is called or the test ends.
func (h *longHome) start(t testing.TB) (stop func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "start", "--home", h.dir)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	t.Cleanup(func() {
		if stop(); t.Failed() {
			t.Logf("log of the node:\n%s", log.String())
		}
	})
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		var s api.Status
		out, _, _ := mlecs("status", "--home", h.dir, "--json")
		if json.Unmarshal([]byte(out), &s) == nil && s.Running {
			return stop
		}
		if time.Now().After(deadline) {
			t.Fatal("the node does not answer")
		}
	}
}

// TestInspectingALongHistory: every inspecting command answers, on a home that no node runs on and on one that one does, and lists end where they
// are told to.
func TestInspectingALongHistory(t *testing.T) {
	h := newLongHome(t, 300)
	both, runningOnly := h.inspections()
	said := map[string]string{}
	for _, args := range both {
		out, _, _ := h.run(t, args...)
		if said[strings.Join(args, " ")] = out; out == "" {
			t.Errorf("%v says nothing", args)
		}
	}
	var status api.Status
	out, _, _ := h.run(t, "status", "--json")
	if err := json.Unmarshal([]byte(out), &status); err != nil || status.Records != h.records || status.Round != uint64(h.records/(longEdges+2)-1) {
		t.Errorf("status of %d records: %v, %s", h.records, err, out)
	}
	var rounds []api.Round
	out, _, _ = h.run(t, "rounds", "--last", "3", "--json")
	if err := json.Unmarshal([]byte(out), &rounds); err != nil || len(rounds) != 3 || rounds[2].Aggregate != h.aggregate || len(rounds[0].Inputs) != longEdges {
		t.Errorf("last rounds: %v, %s", err, out)
	}
	var tree api.Lineage
	out, _, _ = h.run(t, "delta", "lineage", h.aggregate, "--limit", "20", "--json")
	if err := json.Unmarshal([]byte(out), &tree); err != nil || len(tree.Records) != 20 || !tree.More {
		t.Errorf("lineage: %v, %s", err, out)
	}
	h.start(t)
	for _, args := range both {
		out, _, _ := h.run(t, args...)
		name := strings.Join(args, " ")
		if out == "" || strings.HasPrefix(name, "delta show") && out != said[name] {
			t.Errorf("%v of a running node says %q, of a stopped one %q", args, out, said[name])
		}
	}
	for _, args := range runningOnly {
		if out, _, _ := h.run(t, args...); out == "" {
			t.Errorf("%v says nothing", args)
		}
	}
}

// BenchmarkInspecting measures inspecting commands from the start of their process to its end, on a home of 100,000 records. Beside the mean it
// gives the median, the shortest, and the processor time, which other work on the machine changes least.
func BenchmarkInspecting(b *testing.B) {
	h := newLongHome(b, 100_000)
	both, runningOnly := h.inspections()
	measure := func(b *testing.B, prefix string, list [][]string) {
		for _, args := range list {
			name := args[0]
			if name == "delta" || len(args) > 2 {
				name = strings.Join(args[:2], " ")
			}
			b.Run(prefix+"/"+name, func(b *testing.B) {
				var walls []time.Duration
				var cpus time.Duration
				for b.Loop() {
					_, wall, cpu := h.run(b, args...)
					walls, cpus = append(walls, wall), cpus+cpu
				}
				slices.Sort(walls)
				b.ReportMetric(float64(walls[len(walls)/2].Microseconds())/1000, "ms-median")
				b.ReportMetric(float64(walls[0].Microseconds())/1000, "ms-least")
				b.ReportMetric(float64(cpus.Microseconds())/1000/float64(len(walls)), "cpu-ms/op")
			})
		}
	}
	stop := h.start(b)
	measure(b, "running", append(slices.Clone(both), runningOnly...))
	stop()
	measure(b, "stopped", both)
}
