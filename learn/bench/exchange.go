package bench

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/method"
	"github.com/mlecs/mlecs/learn/model"
)

// Exchange is what an edge with an image and a sound sends and receives in a round, in blobs: their bytes depend on the shape of the model
// and not on what it has learned.
type Exchange struct {
	Config     string          `json:"config"`
	Params     int64           `json:"params"` // of the edge's model, the frozen base included
	Components []ComponentCost `json:"components"`

	SupervisionRows  int   `json:"supervision_rows"`
	SupervisionBytes int64 `json:"supervision_bytes"` // of the default codec
}

// ComponentCost is the size of one component by the codecs that were asked for.
type ComponentCost struct {
	Name      string           `json:"name"`
	Signature string           `json:"signature"`
	Params    int64            `json:"params"`
	Bytes     map[string]int64 `json:"bytes"` // by codec
}

// MeasureExchange encodes what the default method shares of a model on w's base with all codecs given, as adapter.ParseCodec reads them.
func MeasureExchange(ctx context.Context, w Workload, codecs []string) (Exchange, error) {
	cfg := method.Default()
	x := Exchange{Config: w.Name, Params: w.Base.Params()}
	modalities := []model.Modality{
		{Name: "audio", Kind: model.Audio, Shape: []int{1, 64, 40}}, {Name: "image", Kind: model.Image, Shape: []int{1, 64, 64}},
	}
	components, err := method.Initial(cfg, w.Base, modalities)
	if err != nil {
		return x, fmt.Errorf("build the edge's model: %w", err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, name := range slices.Sorted(maps.Keys(components)) {
		if err := ctx.Err(); err != nil {
			return x, err
		}
		c := components[name]
		for _, t := range c.Tensors { // values that no codec finds easy
			for i := range t.Data {
				t.Data[i] = float32(0.01 * random.NormFloat64())
			}
		}
		cost := ComponentCost{Name: name, Signature: c.Signature, Params: c.Params(), Bytes: map[string]int64{}}
		for _, setting := range codecs {
			codec, err := adapter.ParseCodec(setting)
			if err != nil {
				return x, err
			}
			blob, err := codec.Encode(c)
			if err != nil {
				return x, fmt.Errorf("encode %s as %s: %w", name, setting, err)
			}
			cost.Bytes[setting] = int64(len(blob))
		}
		x.Params += cost.Params
		x.Components = append(x.Components, cost)
	}
	blob, err := method.EncodeSupervision(cfg.SupervisionCodec, supervision(cfg, random))
	x.SupervisionRows, x.SupervisionBytes = exchangeRows, int64(len(blob))
	return x, err
}

// exchangeRows is how many public rows the supervision speaks of, exchangeTokens how long their answers are: about as in the experiments
// that mlecs runs by default.
const (
	exchangeRows   = 40
	exchangeTokens = 3
)

func supervision(cfg method.Config, random *rand.Rand) *method.Supervision {
	s := &method.Supervision{}
	for row := range exchangeRows {
		fused := make([]float32, cfg.Spec.Fused)
		for i := range fused {
			fused[i] = float32(random.NormFloat64())
		}
		var answer model.SoftTarget
		for range exchangeTokens {
			ids, logs := make([]int, cfg.SoftK), make([]float32, cfg.SoftK)
			for k := range ids {
				ids[k], logs[k] = random.IntN(512), -8*random.Float32()
			}
			answer.IDs, answer.TopIDs, answer.TopLog = append(answer.IDs, ids[0]), append(answer.TopIDs, ids), append(answer.TopLog, logs)
		}
		s.IDs, s.Fused, s.Soft = append(s.IDs, fmt.Sprintf("public-%d", row)), append(s.Fused, fused), append(s.Soft, answer)
	}
	return s
}
