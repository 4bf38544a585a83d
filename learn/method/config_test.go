package method_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/method"
)

func TestDefaultIsValidAndSurvivesJSON(t *testing.T) {
	want := method.Default()
	if err := want.Validate(); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got method.Config
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(got); string(again) != string(raw) {
		t.Errorf("came back as %s, want %s", again, raw)
	}
}

func TestValidateNamesTheField(t *testing.T) {
	if err := (method.Config{}).Validate(); err == nil {
		t.Error("the zero value is valid")
	}
	for want, spoil := range map[string]func(*method.Config){
		"amt_steps is -1":   func(c *method.Config) { c.AMTSteps = -1 },
		"are both 0":        func(c *method.Config) { c.CCLSteps, c.AMTSteps = 0, 0 },
		`rule is "oracle"`:  func(c *method.Config) { c.Rule = "oracle" },
		"batch is 1":        func(c *method.Config) { c.Batch = 1 },
		"lr is 0":           func(c *method.Config) { c.LR = 0 },
		"lr is NaN":         func(c *method.Config) { c.LR = math.NaN() },
		"lambda is -1":      func(c *method.Config) { c.Lambda = -1 },
		`contrast is "cos"`: func(c *method.Config) { c.Contrast = "cos" },
		"spec.rank is 0":    func(c *method.Config) { c.Spec.Rank = 0 },
		"spec.dropout is 1": func(c *method.Config) { c.Spec.Dropout = 1 },
		"max_tokens is 1":   func(c *method.Config) { c.MaxTokens = 1 },
		"dp_clip is -1":     func(c *method.Config) { c.DPClip = -1 },
		"dp_clip is not":    func(c *method.Config) { c.DPNoise = 1 },
	} {
		c := method.Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Longer targets make room for themselves and a little more; short ones leave the configuration as it is, and none takes all there is.
func TestRoomForAnswers(t *testing.T) {
	small, _ := testBases(t)
	c := testConfig()
	c.MaxTokens = 16
	tok := small.Tokenizer
	if got := c.WithRoom(tok, []string{"red"}).MaxTokens; got != 16 {
		t.Errorf("max_tokens %d for a short target, want 16", got)
	}
	long := strings.Repeat("red square ", 6)
	if got, want := c.WithRoom(tok, []string{"red", long}).MaxTokens, len(tok.Encode(long))+9; got != want || want <= 16 {
		t.Errorf("max_tokens %d, want %d", got, want)
	}
	if got := c.WithRoom(tok, []string{strings.Repeat("red square ", 60)}).MaxTokens; got != 64 {
		t.Errorf("max_tokens %d for a page, want 64", got)
	}
}
