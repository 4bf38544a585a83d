package metric

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// reference opens a file of the reference numbers, which are too many to keep here, or skips.
func reference(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("MLECS_REFERENCE")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "reference")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("reference numbers are not here (set MLECS_REFERENCE): %v", err)
	}
	return path
}

type referenceScore struct {
	Precision, Recall, FMeasure float64
}

func TestReferenceRouge(t *testing.T) {
	file, err := os.Open(reference(t, "rouge/cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	check := func(id int, rouge string, got Score, want referenceScore) {
		t.Helper()
		d := max(math.Abs(got.Precision-want.Precision), math.Abs(got.Recall-want.Recall), math.Abs(got.F-want.FMeasure))
		if !(d <= 1e-12) {
			t.Errorf("case %d, %s: got %+v, want %+v", id, rouge, got, want)
		}
	}
	cases := 0
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		var c struct {
			ID            int
			Candidate     string
			References    []string
			Scores        map[string]referenceScore
			ScoresStemmer map[string]referenceScore `json:"scores_stemmer"`
		}
		if err := json.Unmarshal(scanner.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases++
		for _, stem := range []bool{false, true} {
			want := c.Scores
			if stem {
				want = c.ScoresStemmer
			}
			got := Best(c.Candidate, c.References, stem)
			check(c.ID, "rouge1", got.R1, want["rouge1"])
			check(c.ID, "rouge2", got.R2, want["rouge2"])
			check(c.ID, "rougeL", got.L, want["rougeL"])
			check(c.ID, "rougeLsum", got.Lsum, want["rougeLsum"])
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if cases < 100 {
		t.Fatalf("only %d cases", cases)
	}
}

func TestReferencePorter(t *testing.T) {
	data, err := os.ReadFile(reference(t, "rouge/porter.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Stems map[string]string }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Stems) < 1000 {
		t.Fatalf("only %d stems", len(file.Stems))
	}
	for word, want := range file.Stems {
		if got := porterStem(word); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
