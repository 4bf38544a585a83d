package model

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mlecs/mlecs/learn/kernel"
	"github.com/mlecs/mlecs/learn/kernel/kerneltest"
	"github.com/mlecs/mlecs/learn/op"
)

// stories is a real pretrained Llama of 260 thousand parameters with its tokenizer, and what it was found to say.
type stories struct {
	dir        string
	base       *Base
	Generation []struct {
		Prompt    string `json:"prompt"`
		PromptIDs []int  `json:"prompt_ids"`
		NewIDs    []int  `json:"new_ids"`
		Text      string `json:"text"`
	} `json:"generation"`
	Scored []struct {
		Text     string    `json:"text"`
		IDs      []int     `json:"ids"`
		MeanNLL  float64   `json:"mean_nll"`
		LogProbs []float32 `json:"token_logprobs"`
	} `json:"scored"`
	Encode []struct {
		Text        string `json:"text"`
		IDs         []int  `json:"ids"`
		WithSpecial []int  `json:"ids_with_special"`
	} `json:"encode"`
	Decode []struct {
		IDs  []int  `json:"ids"`
		Text string `json:"text"`
	} `json:"decode"`
}

func loadStories(t *testing.T) *stories {
	t.Helper()
	dirs := []string{"../../../shared/models/stories260K"}
	if root := os.Getenv("MLECS_REFERENCE"); root != "" {
		dirs = append([]string{filepath.Join(root, "../models/stories260K")}, dirs...)
	}
	for _, dir := range dirs {
		s := &stories{dir: dir}
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		readJSON(t, filepath.Join(dir, "expected.json"), s)
		var err error
		if s.base, err = ReadFolder(dir); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Skipf("no model in %v", dirs)
	return nil
}

// visible leaves out the end of text, at which Decode stops.
func (s *stories) visible(ids []int) []int {
	return slices.DeleteFunc(slices.Clone(ids), func(id int) bool { return id == s.base.Tokenizer.End() })
}

func TestReferenceStoriesTokenizer(t *testing.T) {
	s := loadStories(t)
	tok := s.base.Tokenizer
	if end := tok.Decode([]int{tok.End()}); end != "" || tok.tokens[tok.End()] != "</s>" {
		t.Errorf("the end of text is %q", tok.tokens[tok.End()])
	}
	for _, c := range s.Encode {
		ids := tok.Encode(c.Text)
		if !slices.Equal(ids, c.IDs) {
			t.Errorf("%q: ids %v, want %v", c.Text, ids, c.IDs)
		}
		if all := append(tok.Begin(), ids...); !slices.Equal(all, c.WithSpecial) {
			t.Errorf("%q: ids with special tokens %v, want %v", c.Text, all, c.WithSpecial)
		}
	}
	for _, c := range s.Decode {
		if got := tok.Decode(s.visible(c.IDs)); got != c.Text {
			t.Errorf("%v: text %q, want %q", c.IDs, got, c.Text)
		}
	}
	if len(s.Encode) == 0 || len(s.Decode) == 0 {
		t.Error("nothing to compare with")
	}
}

func TestReferenceStoriesLikelihoods(t *testing.T) { kerneltest.Each(t, testStoriesLikelihoods) }

func testStoriesLikelihoods(t *testing.T) {
	s := loadStories(t)
	expected := readTensors(t, filepath.Join(s.dir, "logits.safetensors"))
	vocab, dim := s.base.Config.Vocab, s.base.Config.Dim
	for i, c := range s.Scored {
		ids := append(s.base.Tokenizer.Begin(), s.base.Tokenizer.Encode(c.Text)...)
		if !slices.Equal(ids, c.IDs) {
			t.Fatalf("%q: ids %v, want %v", c.Text, ids, c.IDs)
		}
		hidden, loss := score(t, s.base, ids)
		nll := math.Abs(loss - c.MeanNLL)
		if !(nll <= 1e-4) {
			t.Errorf("%q: mean NLL %v, want %v", c.Text, loss, c.MeanNLL)
		}
		want := expected[fmt.Sprintf("logits.%d", i)]
		var logitDiff, logDiff float64
		for j := range ids {
			logits := logitsOf(s.base, hidden[j*dim:][:dim])
			logitDiff = max(logitDiff, closeTo(t, c.Text, logits, want.Data[j*vocab:][:vocab], 2e-4, 0))
			if j+1 < len(ids) {
				top, logs := topK(logits, vocab, make([]float32, vocab))
				log := logs[slices.Index(top, ids[j+1])]
				logDiff = max(logDiff, closeTo(t, "log-probabilities of "+c.Text, []float32{log}, c.LogProbs[j:j+1], 1e-4, 0))
			}
		}
		t.Logf("%.30q: largest differences: logits %.1e, log-probabilities %.1e, mean NLL %.1e", c.Text, logitDiff, logDiff, nll)
	}
}

// score reads a text: what the last block gives at every position, and the mean loss of a token but the first.
func score(t *testing.T, base *Base, ids []int) (hidden []float32, loss float64) {
	t.Helper()
	weights := base.weights()
	embed, entropy := &op.Embed{Rows: 1, Slots: len(ids), From: []int32{0}}, &op.CrossEntropy{}
	entropy.Frozen = weights[base.Config.arch().names().head]
	for j, id := range ids {
		embed.IDs = append(embed.IDs, int32(id))
		if j > 0 {
			entropy.At, entropy.Target = append(entropy.At, int32(j-1)), append(entropy.Target, int32(id))
		}
	}
	b := newBuilder(nil, base.Tensors, weights, false)
	out, _ := b.decode(base.Config, lora{}, embed, nil, 0)
	cost := b.apply(entropy, out, b.head(base.Config))
	if err := b.finish(nil); err != nil {
		t.Fatal(err)
	}
	b.g.Run()
	return op.Floats(out), float64(op.Floats(cost)[0])
}

// TestReferenceStoriesStoredWithFewDigits: what it costs a real model, in the mean loss of a token of its own kind of text.
func TestReferenceStoriesStoredWithFewDigits(t *testing.T) { kerneltest.Each(t, testStoriesStored) }

func testStoriesStored(t *testing.T) {
	s := loadStories(t)
	for d, most := range map[kernel.DType]float64{kernel.BFloat16: 0.01, kernel.Int8: 0.02, kernel.W8A8: 0.02} {
		base := s.base.Stored(d)
		for _, c := range s.Scored {
			_, loss := score(t, base, c.IDs)
			if !(math.Abs(loss-c.MeanNLL) <= most) {
				t.Errorf("%v, %.30q: mean NLL %g, in float32 %g", d, c.Text, loss, c.MeanNLL)
			}
			t.Logf("%v, %.30q: mean NLL %.5f, in float32 %.5f", d, c.Text, loss, c.MeanNLL)
		}
	}
}

func TestReferenceStoriesGreedy(t *testing.T) { kerneltest.Each(t, testStoriesGreedy) }

func testStoriesGreedy(t *testing.T) {
	s := loadStories(t)
	tok := s.base.Tokenizer
	var prompts [][]int
	limit := 0
	for _, c := range s.Generation {
		prompt := append(tok.Begin(), tok.Encode(c.Prompt)...)
		if !slices.Equal(prompt, c.PromptIDs) {
			t.Fatalf("%q: ids %v, want %v", c.Prompt, prompt, c.PromptIDs)
		}
		prompts, limit = append(prompts, prompt), max(limit, len(c.NewIDs))
	}
	d := newDecoding(s.base, lora{}, nil, 0, len(prompts), s.base.Config.positionsFor(0, prompts, limit))
	d.read(nil, prompts)
	for i, a := range (ensemble{d}).greedy(limit, 0, -1) {
		c := s.Generation[i]
		if !slices.Equal(a.IDs[:len(c.NewIDs)], c.NewIDs) {
			t.Errorf("%q goes on with %v, want %v", c.Prompt, a.IDs, c.NewIDs)
		}
		if got := tok.Decode(s.visible(append(prompts[i], a.IDs...))); got != c.Text {
			t.Errorf("%q: text %q, want %q", c.Prompt, got, c.Text)
		}
	}
}
