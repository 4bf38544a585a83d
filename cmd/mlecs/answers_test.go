package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/node/api"
)

// TestQuestionsToANodeWithoutModel end before anything is sent.
func TestQuestionsToANodeWithoutModel(t *testing.T) {
	home, rows := filepath.Join(t.TempDir(), "home"), filepath.Join(t.TempDir(), "rows")
	if _, errOut, code := mlecs("init", "--home", home); code != exitOK {
		t.Fatal(errOut)
	}
	if _, errOut, code := mlecs("data", "generate", rows, "--homes", "1", "--rows-per-home", "8"); code != exitOK {
		t.Fatal(errOut)
	}
	empty := filepath.Join(rows, "empty.csv")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	note := filepath.Join(rows, "note.pdf")
	if err := os.WriteFile(note, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		code int
		args []string
		says []string
	}{
		{"eval", exitFailure, []string{"eval"}, []string{"in no federation", "mlecs join"}},
		{"eval of other rows", exitFailure, []string{"eval", "--data", rows, "--split", "train"}, []string{"in no federation", "mlecs join"}},
		{"generate", exitFailure, []string{"generate", "--row", "a"}, []string{"in no federation", "mlecs join"}},
		{"a folder that is not there", exitFailure, []string{"eval", "--data", filepath.Join(rows, "gone")}, []string{"gone"}},
		{"a split that is none", exitFailure, []string{"eval", "--data", rows, "--split", "exam"}, []string{`"exam"`, "train, validation, test"}},
		{"a row that is not there", exitNotFound, []string{"generate", "--row", "nobody", "--data", rows}, []string{`"nobody"`, "home-1-"}},
		{"a file that is not there", exitFailure, []string{"generate", "--file", "image=" + filepath.Join(rows, "gone.png")}, []string{`"image"`, "gone.png"}},
		{"an empty file", exitFailure, []string{"generate", "--file", "sensor=" + empty}, []string{`"sensor"`, "empty.csv is empty"}},
		{"a folder as a file", exitFailure, []string{"generate", "--file", "sensor=" + rows}, []string{`"sensor"`, "not a regular file"}},
		{"a file of an unknown type", exitFailure, []string{"generate", "--file", "image=" + note}, []string{"image", "note.pdf", "known are"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, code := mlecs(append(c.args, "--home", home)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(errOut, want) {
					t.Errorf("standard error lacks %q:\n%s", want, errOut)
				}
			}
		})
	}
}

func TestAnswersForPeople(t *testing.T) {
	m := api.CurrentModel{Base: "edge-small", Round: 3, State: "adapted", Modalities: []string{"audio", "image"}}
	half := api.TextScores{Rouge1: api.Measure{Precision: 0.25, Recall: 0.75, F: 0.5}, ExactMatch: 0.125}
	var out bytes.Buffer
	p := &page{w: &out}
	showEvaluation(p, &api.Evaluation{
		Node: "edge-1", Model: m, Split: "test", Data: "homes", ConstantAnswer: "still lying quiet", RowsLeftOut: 7,
		All:        api.EvalGroup{Name: "all", Rows: 30, Scores: half, Constant: &api.TextScores{Rouge1: api.Measure{F: 0.375}}},
		Subsets:    []api.EvalGroup{{Name: "audio+image", Rows: 11, Scores: half}},
		Attributes: []api.Attribute{{Field: "posture", Values: []api.EvalGroup{{Name: "lying", Rows: 12, Scores: half, Constant: &half}}}},
	})
	showAnswer(p, &api.Answer{Node: "edge-1", Model: m, Row: "r1", Used: []string{"image"}, Ignored: []string{"sensor"}, Answer: "falling lying", Untrained: ""})
	for _, want := range []string{
		"edge-small (audio, image; adapted, round 3)", "30, split test of homes", "7, which have none", "still lying quiet",
		"0.250   0.750  0.500         0.375", "audio+image    11  0.500 (-)", "lying      12  0.500 (0.500)",
		"sensor (not used by this node)", "falling lying", `untrained answer  ""`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}

func TestDifference(t *testing.T) {
	for _, c := range []struct{ before, after, want string }{
		{"walking upright steps", "walking  upright steps", "none: the untrained model says the same"},
		{"walking upright steps", "walking lying steps", "walking [-upright-] {+lying+} steps"},
		{"", "falling thud", "{+falling+} {+thud+}"},
		{"falling thud", "", "[-falling-] [-thud-]"},
		{"a b c", "b c d", "[-a-] b c {+d+}"},
		{"x", "\x1b[2J", `"[-x-] {+\x1b[2J+}"`},
	} {
		if got := difference(c.before, c.after); got != c.want {
			t.Errorf("%q to %q: %s, want %s", c.before, c.after, got, c.want)
		}
	}
}
