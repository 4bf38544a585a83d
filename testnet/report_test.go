package testnet

import (
	"bytes"
	"encoding/json"
	"image/png"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
)

func number(v float64) *float64 { return &v }

func sampleReport() *Report {
	return &Report{
		Version: "v0.1.0", Seed: 7, WallSeconds: 61.4,
		Dataset: Dataset{Path: "homes", Generated: true, CID: "bafyreiexample", Rows: 360, Modalities: []string{"audio", "image", "sensor"}},
		Nodes: []NodeReport{
			{Name: "super-1", Role: "super", PeerID: "12D3KooWsuper", PID: 10, Modalities: []string{"audio", "image", "sensor"}, Domain: "all", ParamsTotal: 4e6, ParamsTrainable: 5e5, TestRows: 90,
				RougeLsum: Compared{Constant: number(0.3), Together: number(0.8)}, ExactMatch: Compared{Constant: number(0.1), Together: number(0.6)}, BytesSent: 4 << 20, BytesReceived: 1 << 20},
			{Name: "edge-1", Role: "edge", PeerID: "12D3KooWedge1", PID: 11, Modalities: []string{"image", "sensor"}, Domain: "home-1", TestRows: 30,
				RougeLsum: Compared{number(0.2), number(0.5), number(0.7)}, ExactMatch: Compared{number(0), number(0.4), number(0.5)}, BytesSent: 1 << 20, BytesReceived: 2 << 20},
			{Name: "edge-2", Role: "edge", PeerID: "12D3KooWedge2", PID: 12, Modalities: []string{"audio"}, Domain: "home-2", TestRows: 20,
				RougeLsum: Compared{number(0.4), number(0.6), number(0.8)}, ExactMatch: Compared{number(0.2), number(0.4), number(0.6)}, BytesSent: 1 << 20, BytesReceived: 2 << 20},
		},
		Rounds: []RoundReport{{Round: 1, Leader: "12D3KooWsuper", Aggregate: "bafyreiagg", Seconds: 12.5,
			Inputs: []InputReport{{"bafyreid1", "12D3KooWedge1", []string{"image", "sensor"}, 0.6, 0}, {"bafyreid2", "12D3KooWedge2", []string{"audio"}, 0.4, 0}}}},
		Communication: Communication{ParamsTotal: 1e6, ParamsSentPerEdgeRound: 120e3, Fraction: 0.12, BytesPerEdgeRound: 480e3, BytesFraction: 0.12,
			Up: map[string]float64{"lora": 470e3, "record": 10e3}, Down: map[string]float64{"lora": 470e3, "supervision": 20e3, "record": 2e3}},
	}
}

// The keys are read by other programs: this list is the interface.
func TestReportKeysAreExact(t *testing.T) {
	var b bytes.Buffer
	if err := sampleReport().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	first := func(v any) any { return v.([]any)[0] }
	for _, c := range []struct {
		name string
		at   any
		keys string
	}{
		{"top", doc, "communication dataset nodes rounds seed version wall_seconds"},
		{"dataset", doc["dataset"], "cid generated modalities path rows"},
		{"node", first(doc["nodes"]), "base bytes_received bytes_sent domain exact_match modalities name params_total params_trainable peer_id pid role rouge_lsum test_rows"},
		{"rouge_lsum", first(doc["nodes"]).(map[string]any)["rouge_lsum"], "constant standalone together"},
		{"exact_match", first(doc["nodes"]).(map[string]any)["exact_match"], "constant standalone together"},
		{"round", first(doc["rounds"]), "aggregate inputs leader round seconds"},
		{"input", first(first(doc["rounds"]).(map[string]any)["inputs"]), "author delta modalities weight"},
		{"communication", doc["communication"], "bytes_fraction bytes_per_edge_round down fraction params_sent_per_edge_round params_total up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(sortedKeys(c.at.(map[string]any)), " "); got != c.keys {
				t.Errorf("keys are %q, want %q", got, c.keys)
			}
		})
	}
}

func TestReportMeansAreOverEdges(t *testing.T) {
	edges, families := sampleReport().edges()
	if len(edges) != 2 || families != 1 {
		t.Fatalf("%d edges of %d families, want 2 of 1", len(edges), families)
	}
	m := means(edges)
	for _, c := range []struct {
		name string
		got  *float64
		want float64
	}{
		{"Rouge-LSum constant", m.RougeLsum.Constant, 0.3},
		{"Rouge-LSum alone", m.RougeLsum.Standalone, 0.55},
		{"Rouge-LSum together", m.RougeLsum.Together, 0.75},
		{"exact match together", m.ExactMatch.Together, 0.55},
	} {
		if c.got == nil || *c.got < c.want-1e-12 || *c.got > c.want+1e-12 {
			t.Errorf("%s: got %v, want %v", c.name, score(c.got), c.want)
		}
	}
	if m.TestRows != 25 || m.BytesSent != 1<<20 {
		t.Errorf("test rows %d and bytes sent %d, want 25 and %d", m.TestRows, m.BytesSent, 1<<20)
	}
}

func TestTablesNameEveryNodeAndTheirData(t *testing.T) {
	var human, md bytes.Buffer
	r := sampleReport()
	r.Print(&human)
	if err := r.WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"table": human.String(), "Markdown": md.String()} {
		for _, want := range []string{"generated", "super-1", "edge-1", "home-2", "image sensor", "mean of edges", "0.750", "2.0 MiB", "12.0 %", "12.000 %", "469 KiB", "supervision", "480000", "492000", "alone", "together", "constant", "-"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, out)
			}
		}
	}
}

func TestTablesTellFamiliesAndLateDeltas(t *testing.T) {
	var human, md bytes.Buffer
	r := sampleReport()
	r.Nodes[2].Family = 1
	r.Rounds[0].Inputs[1].Late = 2
	r.Print(&human)
	if err := r.WriteMarkdown(&md); err != nil {
		t.Fatal(err)
	}
	for name, out := range map[string]string{"table": human.String(), "Markdown": md.String()} {
		for _, want := range []string{"2 edges of 2 families", "edge, family 1", "mean of family 0", "mean of family 1", "0.800", "mean of edges", "0.750"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s lacks %q:\n%s", name, want, out)
			}
		}
	}
	if want := "edge-2 (0.40), 2 rounds late"; !strings.Contains(md.String(), want) {
		t.Errorf("Markdown lacks %q", want)
	}
}

func TestTableRowsAlign(t *testing.T) {
	var b bytes.Buffer
	sampleReport().Print(&b)
	column := -1
	for line := range strings.Lines(b.String()) {
		for _, node := range []string{"super-1", "edge-1", "edge-2"} {
			if strings.HasPrefix(line, node) {
				at := strings.Index(line, ".") // first score
				if column >= 0 && at != column {
					t.Errorf("scores start at column %d and %d:\n%s", column, at, b.String())
				}
				column = at
			}
		}
	}
	if column < 0 {
		t.Fatalf("no node found in:\n%s", b.String())
	}
}

func sampleCurves() []Curve {
	at := func(v ...float64) (s []api.RoundScore) {
		for i, x := range v {
			s = append(s, api.RoundScore{Round: uint64(i), Score: api.Score{RougeLsum: x}})
		}
		return s
	}
	edges := []Curve{
		{Node: "edge-1", Note: "home-1: image sensor", Constant: number(0.22), Alone: at(0.1, 0.4, 0.5, 0.55), Together: at(0.1, 0.5, 0.65, 0.71)},
		{Node: "edge-2", Note: "home-2: audio", Constant: number(0.3), Alone: at(0.05, 0.3, 0.35, 0.41), Together: at(0.05, 0.45, 0.52, 0.6)},
		{Node: "edge-3", Note: "home-3: audio image", Constant: number(0.26), Alone: at(0.12, 0.42, 0.49, 0.5), Together: at(0.12, 0.55, 0.6, 0.64)},
	}
	return append(edges, meanCurve(edges), Curve{Node: "super-1", Note: "all rows: audio image sensor", Constant: number(0.25), Together: at(0.5, 0.6, 0.72, 0.8)})
}

func TestCurvesDrawInBothFormats(t *testing.T) {
	var raster, vector bytes.Buffer
	if err := WriteCurves(&raster, &vector, "Rouge-LSum on each node's own test rows (generated data)", sampleCurves()); err != nil {
		t.Fatal(err)
	}
	if out := os.Getenv("MLECS_CURVES"); out != "" {
		if err := os.WriteFile(out, raster.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	img, err := png.Decode(&raster)
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() < 800 || b.Dy() < 400 {
		t.Errorf("PNG is %v, too small to read", b)
	}
	for _, want := range []string{"<svg", "edge-1", "mean of edges", "generated data", "together", "best constant answer", "round", "Rouge-LSum"} {
		if !strings.Contains(vector.String(), want) {
			t.Errorf("SVG lacks %q", want)
		}
	}
}

func TestMeanCurveKeepsCommonRoundsOnly(t *testing.T) {
	c := sampleCurves()
	short := []Curve{c[0], {Node: "late", Together: c[1].Together[:2]}}
	m := meanCurve(short)
	if len(m.Together) != 2 || len(m.Alone) != 0 {
		t.Errorf("got %d rounds together and %d alone, want 2 and 0", len(m.Together), len(m.Alone))
	}
	if m.Constant == nil || *m.Constant != 0.22 {
		t.Errorf("constant %v, want that of the one edge that has one", score(m.Constant))
	}
}

func TestCurvesWithoutScoresStillDraw(t *testing.T) {
	var raster, vector bytes.Buffer
	if err := WriteCurves(&raster, &vector, "nothing", nil); err != nil {
		t.Fatal(err)
	}
	if err := WriteCurves(&raster, &vector, "one", []Curve{{Node: "edge-1"}}); err != nil {
		t.Fatal(err)
	}
}

func TestCommunicationCountsEveryByte(t *testing.T) {
	lora, image := api.Component{Name: "lora", Signature: "s", Bytes: 100}, api.Component{Name: "encoder/image", Signature: "s", Bytes: 30}
	foreign := api.Component{Name: "lora", Signature: "of another structure", Bytes: 1000}
	rounds := []api.Round{{Aggregate: "a0", Components: []api.Component{lora, image, foreign}, SupervisionBytes: 50, RecordBytes: 9}}
	deltas := map[string]api.Delta{
		"d1": {Parents: []string{"a0"}, Components: []api.Component{{Name: "lora", Signature: "s", Bytes: 11}, {Name: "encoder/image", Signature: "s", Bytes: 5}}, Bytes: 16, RecordBytes: 4, Params: 60},
		"d2": {Parents: []string{"a0"}, Components: []api.Component{{Name: "lora", Signature: "s", Bytes: 13}}, Bytes: 13, RecordBytes: 3, Params: 20},
	}
	c := communication([]NodeReport{{Role: roleEdge, ParamsTotal: 100}, {Role: roleSuper, ParamsTotal: 900}}, rounds, deltas)
	want := Communication{
		ParamsTotal: 100, ParamsSentPerEdgeRound: 40, Fraction: 0.4, BytesPerEdgeRound: 18, BytesFraction: 0.045,
		Up:   map[string]float64{"lora": 12, "encoder/image": 2.5, "record": 3.5},
		Down: map[string]float64{"lora": 100, "encoder/image": 15, "supervision": 50, "record": 9},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
}
