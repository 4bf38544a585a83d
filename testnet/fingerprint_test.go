package testnet_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/mlecs/mlecs/learn/data"
	"github.com/mlecs/mlecs/testnet"
)

func TestFingerprintIsThatOfTheContent(t *testing.T) {
	fingerprint := func(seed uint64, change func(dir string)) string {
		dir := filepath.Join(t.TempDir(), "rows")
		if err := data.Generate(dir, data.GenerateOptions{Homes: 1, RowsPerHome: 8, Seed: seed}); err != nil {
			t.Fatal(err)
		}
		set, err := data.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		change(dir)
		id, err := testnet.Fingerprint(set)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	same := func(string) {}
	first := fingerprint(1, same)
	if again := fingerprint(1, same); again != first {
		t.Error("equal data sets in different folders have different fingerprints")
	}
	if other := fingerprint(2, same); other == first {
		t.Error("different data sets have one fingerprint")
	}
	touched := fingerprint(1, func(dir string) {
		files, err := filepath.Glob(filepath.Join(dir, "sensor", "*"))
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		if err := os.WriteFile(files[0], []byte("t_ms,ax,ay,az\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	})
	if touched == first {
		t.Error("a changed file does not change the fingerprint")
	}
}
