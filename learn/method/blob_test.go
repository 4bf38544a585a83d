package method_test

import (
	"bytes"
	"context"
	"reflect"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

func codedConfig(codec string) method.Config {
	c := testConfig()
	c.Codec, c.AggregateCodec, c.SupervisionCodec = codec, "int8", "int8"
	return c
}

func codedEdge(t testing.TB, codec string) *method.Edge {
	t.Helper()
	small, _ := testBases(t)
	public := withoutTargets(observe("public", 20, noise, both))
	e, err := method.NewEdge(codedConfig(codec), small, []model.Modality{sensorA}, observe("edge", 12, noise, both), public, method.DefaultShare(), "edge")
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var codecs = []string{"safetensors", "bf16", "int8", "int4", "topk:0.1", "lowrank:0.02"}

// A receiver that has the aggregate that a round started from, and what a model begins with, makes of the blobs what the delta says.
func TestReceiversDecodeWhatTheDeltaSays(t *testing.T) {
	ctx := context.Background()
	for _, codec := range codecs {
		t.Run(codec, func(t *testing.T) {
			small, _ := testBases(t)
			initial, err := method.Initial(codedConfig(codec), small, []model.Modality{sensorA})
			if err != nil {
				t.Fatal(err)
			}
			e := codedEdge(t, codec)
			for round := uint64(1); round <= 3; round++ {
				// This aggregate has no connector: the edge keeps its own.
				absorbed := map[string]adapter.Component{"lora": filled(initial["lora"], float32(round)/8), "encoder/a": filled(initial["encoder/a"], 0.5)}
				if err := e.Absorb(averaged(absorbed["lora"], absorbed["encoder/a"])); err != nil {
					t.Fatal(err)
				}
				d, err := e.Round(ctx, round, nil)
				if err != nil {
					t.Fatal(err)
				}
				if len(d.Components) != 4 || len(d.Blobs) != 4 {
					t.Fatalf("%d components, %d blobs", len(d.Components), len(d.Blobs))
				}
				for i, want := range d.Components {
					reference, ok := absorbed[want.Name]
					if !ok {
						reference = initial[want.Name]
					}
					got, err := d.Blobs[i].Open(reference, want.Params())
					if err != nil {
						t.Fatal(err)
					}
					if !reflect.DeepEqual(got, want) {
						t.Errorf("round %d: receivers decode another %s", round, want.Name)
					}
				}
			}
		})
	}
}

// What a coarse codec loses is sent later, also after a restart in any moment: the bits are those of an edge that went on.
func TestWhatIsLostSurvivesARestart(t *testing.T) {
	ctx := context.Background()
	small, _ := testBases(t)
	initial, err := method.Initial(codedConfig("lowrank"), small, []model.Modality{sensorA})
	if err != nil {
		t.Fatal(err)
	}
	run := func(restart func(*method.Edge) *method.Edge) (blobs []method.Blob) {
		e := codedEdge(t, "lowrank:0.02")
		for round := uint64(1); round <= 4; round++ {
			a := averaged(filled(initial["lora"], float32(round)/8), initial["encoder/a"])
			if round%2 == 0 {
				a = averaged(initial["encoder/a"], filled(initial["connector/a"], float32(round)/8))
			}
			if err := e.Absorb(a); err != nil {
				t.Fatal(err)
			}
			e = restart(e)
			d, err := e.Round(ctx, round, nil)
			if err != nil {
				t.Fatal(err)
			}
			e = restart(e)
			blobs = append(blobs, d.Blobs...)
		}
		return blobs
	}
	want := run(func(e *method.Edge) *method.Edge { return e })
	got := run(func(e *method.Edge) *method.Edge {
		var state bytes.Buffer
		if err := e.WriteState(&state); err != nil {
			t.Fatal(err)
		}
		fresh := codedEdge(t, "lowrank:0.02")
		if err := fresh.ReadState(&state); err != nil {
			t.Fatal(err)
		}
		return fresh
	})
	if !reflect.DeepEqual(got, want) {
		t.Error("other bytes after restarts")
	}
	if without := run(func(e *method.Edge) *method.Edge { e.Forget(); return e }); reflect.DeepEqual(without, want) {
		t.Error("nothing was lost: this test shows nothing")
	}
}

// Whoever decodes an aggregate's blobs has what the cloud goes on from.
func TestReceiversDecodeWhatTheAggregateSays(t *testing.T) {
	small, large := testBases(t)
	cfg := codedConfig("int8")
	c, err := method.NewCloud(cfg, large, []*model.Base{small}, both, observe("public", 20, noise, both), method.DefaultShare(), "super")
	if err != nil {
		t.Fatal(err)
	}
	a, err := c.Round(context.Background(), 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range a.Components {
		got, err := x.Blob.Open(adapter.Component{}, x.Component.Params())
		if err != nil {
			t.Fatal(err)
		}
		if x.Blob.Codec != "int8" || !reflect.DeepEqual(got, x.Component) || !reflect.DeepEqual(got, c.Proxy()[got.Name]) {
			t.Errorf("%s: receivers decode another component than the cloud goes on from", x.Component.Name)
		}
	}
	s, err := method.DecodeSupervision(a.SupervisionBlob, cfg.MaxSupervision(20))
	if err != nil || !reflect.DeepEqual(s, a.Supervision) {
		t.Errorf("receivers decode other supervision (%v)", err)
	}
}

func TestConfigRefusesCodecs(t *testing.T) {
	for want, spoil := range map[string]func(*method.Config){
		`codec "zip" is not known`: func(c *method.Config) { c.Codec = "zip" },
		`codec "" is not known`:    func(c *method.Config) { c.Codec = "" },
		`aggregate_codec is "lowrank"; it must be one of [safetensors bf16`: func(c *method.Config) { c.AggregateCodec = "lowrank" },
		`supervision_codec is "topk"`:                                       func(c *method.Config) { c.SupervisionCodec = "topk" },
	} {
		c := method.Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
