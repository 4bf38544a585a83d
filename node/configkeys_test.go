package node

import (
	"strings"
	"testing"
)

// TestEveryKeyIsExplained, and nothing else is.
func TestEveryKeyIsExplained(t *testing.T) {
	keys, err := ConfigKeys()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, k := range keys {
		found[k.Path] = true
		if !strings.HasSuffix(k.About, ".") {
			t.Errorf("%s is explained by %q, which is no sentence", k.Path, k.About)
		}
		if advice := keysAdvice(k.Path + "x"); !strings.Contains(advice, k.Path[strings.LastIndex(k.Path, ".")+1:]) {
			t.Errorf("%s is not among the keys that an error lists: %s", k.Path, advice)
		}
	}
	for _, kc := range keyComments {
		if !found[kc[0]] {
			t.Errorf("%s is explained, and is no key", kc[0])
		}
	}
	if b, err := DefaultConfig().YAML(); err != nil || !strings.Contains(string(b), "# Names that the node is asked by") {
		t.Errorf("%s, %v", b, err)
	}
}
