package op

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"gorgonia.org/tensor"

	"github.com/mlecs/mlecs/learn/adapter"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
)

// gramCase is one case of the reference numbers: smoothing "ls0" and "ls0.1".
type gramCase struct {
	Name       string      `json:"name"`
	Batch      int         `json:"batch"`
	Modalities int         `json:"modalities"`
	Volume     [][]float64 `json:"volume_float64"`
	Loss       map[string]struct {
		Float64 float64 `json:"float64"`
	} `json:"loss"`
	Grad map[string]map[string][][]float64 `json:"grad_float64"`
}

func loadGram(t *testing.T) (cases []gramCase, tau float64, vectors map[string]adapter.Tensor) {
	root := os.Getenv("MLECS_REFERENCE")
	if root == "" {
		root = "../../../shared/reference"
	}
	raw, err := os.ReadFile(filepath.Join(root, "gram", "gram.json"))
	if err != nil {
		t.Skipf("no reference numbers: %v (set MLECS_REFERENCE)", err)
	}
	var file struct {
		Tau   float64    `json:"tau"`
		Eps   float64    `json:"eps"`
		Cases []gramCase `json:"cases"`
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if file.Eps != GramEps {
		t.Fatalf("the numbers were made with eps %v, this package has %v", file.Eps, GramEps)
	}
	f, err := os.Open(filepath.Join(root, "gram", "gram.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, _, err := adapter.ReadTensors(f, 1<<24)
	if err != nil {
		t.Fatal(err)
	}
	vectors = make(map[string]adapter.Tensor)
	for _, x := range list {
		vectors[x.Name] = x
	}
	return file.Cases, file.Tau, vectors
}

func TestReferenceGram(t *testing.T) { kerneltest.Each(t, testReferenceGram) }

func testReferenceGram(t *testing.T) {
	cases, tau, vectors := loadGram(t)
	if len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range cases {
		names := []string{"anchor"}
		for k := range c.Modalities {
			names = append(names, fmt.Sprintf("modality%d", k))
		}
		var in [][]float32
		var shapes []tensor.Shape
		for _, name := range names {
			v := vectors[c.Name+"."+name]
			in, shapes = append(in, v.Data), append(shapes, tensor.Shape(v.Shape))
		}
		// Tolerances of the reference's README; volumes and losses are float64 inside the op.
		volumeTol, lossTol, gradAbs, gradRel := 1e-9, 1e-9, 1e-9, 1e-9
		if c.Name == "degenerate" {
			lossTol, gradAbs = 1e-7, 1e-5
		}
		for _, smooth := range []float64{0, 0.1} {
			key := fmt.Sprintf("ls%v", smooth)
			t.Run(c.Name+"/"+key, func(t *testing.T) {
				f := &Gram{Tau: tau, Smooth: smooth, Rows: c.Batch}
				if _, err := f.Shape(shapes); err != nil {
					t.Fatal(err)
				}
				out := make([]float32, 1)
				f.Forward(out, in)
				for i, row := range c.Volume {
					for j, want := range row {
						if got := f.gram.volume[i*c.Batch+j]; !(math.Abs(got-want) <= volumeTol) {
							t.Fatalf("volume %d,%d is %v, want %v", i, j, got, want)
						}
					}
				}
				want := c.Loss[key].Float64
				if got := f.loss; !(math.Abs(got-want) <= lossTol*math.Max(1, math.Abs(want))) {
					t.Errorf("loss %v, want %v", got, want)
				}
				if math.Abs(float64(out[0])-want) > 1e-6 {
					t.Errorf("float32 loss %v, want %v", out[0], want)
				}

				grads := make([][]float32, len(in))
				for k := range grads {
					grads[k] = make([]float32, len(in[k]))
				}
				f.Backward(grads, []float32{1}, in, out)
				for k, name := range names {
					for i, row := range c.Grad[key][name] {
						for j, want := range row {
							at := i*len(row) + j
							if got := f.grads[k][at]; !(math.Abs(got-want) <= gradAbs+gradRel*math.Abs(want)) {
								t.Fatalf("gradient of %s at %d,%d is %v, want %v", name, i, j, got, want)
							}
							if got := float64(grads[k][at]); !(math.Abs(got-want) <= gradAbs+1e-6) {
								t.Fatalf("float32 gradient of %s at %d,%d is %v, want %v", name, i, j, got, want)
							}
						}
					}
				}
			})
		}
	}
}
