package model_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
	"pgregory.net/rapid"
)

var corpus = []string{
	"the person is lying on the floor after a fall",
	"the person is walking through the kitchen",
	"calm upright high", "lively lying low", "calm lying low", "Größe: 12.5 m²",
}

func trained(t testing.TB, vocab int) *model.Tokenizer {
	t.Helper()
	tok, err := model.TrainTokenizer(corpus, vocab)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestTrainTokenizerByHand(t *testing.T) {
	// Pieces ab, ab, abc, " ab": a+b occurs 4 times; then nothing occurs twice.
	tok, err := model.TrainTokenizer([]string{"ab", "ab", "abc", ". ab"}, 300)
	if err != nil {
		t.Fatal(err)
	}
	if tok.Size() != 258 || tok.End() != 257 {
		t.Fatalf("%d tokens, end %d; want the bytes, ab and the end", tok.Size(), tok.End())
	}
	// GPT-2 numbers printable bytes first: ! is 0, a is 64; the space comes after all of them and the control bytes: 220.
	if got, want := tok.Encode("abc ab!"), []int{256, 66, 220, 256, 0}; !slices.Equal(got, want) {
		t.Errorf("ids %v, want %v", got, want)
	}
}

func TestTiesGoToTheSmallerBytes(t *testing.T) {
	tok, err := model.TrainTokenizer([]string{"zy", "ba", "zy", "ba", "bc", "bc"}, 258)
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("ba"); len(got) != 1 {
		t.Errorf("ba, bc and zy occur twice each; %v is not one token for ba", got)
	}
}

func TestTrainingDoesNotDependOnTheOrderOfTexts(t *testing.T) {
	want, err := json.Marshal(trained(t, 320))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		tok, err := model.TrainTokenizer(rapid.Permutation(corpus).Draw(t, "texts"), 320)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(tok); string(got) != string(want) {
			t.Fatal("another tokenizer")
		}
	})
}

func TestTrainTokenizerRefusesSizes(t *testing.T) {
	for _, vocab := range []int{-1, 0, 256, 1 << 20} {
		if _, err := model.TrainTokenizer(corpus, vocab); err == nil || !strings.Contains(err.Error(), "it must be 257") {
			t.Errorf("%d: error %v", vocab, err)
		}
	}
}

func TestTrainingShortensItsText(t *testing.T) {
	bytes, tok := trained(t, 257), trained(t, 320)
	for _, s := range corpus[:5] {
		if a, b := len(bytes.Encode(s)), len(tok.Encode(s)); a != len(s) || b*3 > a*2 {
			t.Errorf("%q: %d bytes take %d tokens", s, a, b)
		}
	}
}

func TestDecodeStopsAtTheEnd(t *testing.T) {
	tok := trained(t, 300)
	ids := append(tok.Encode("low"), tok.End())
	ids = append(ids, tok.Encode("never")...)
	if got := tok.Decode(append([]int{-1, 1 << 30}, ids...)); got != "low" {
		t.Errorf("got %q, want %q", got, "low")
	}
}

func TestEndOfTextInTextIsText(t *testing.T) {
	tok := trained(t, 300)
	ids := tok.Encode("a" + model.EndOfText + "b")
	if slices.Contains(ids, tok.End()) || tok.Decode(ids) != "a"+model.EndOfText+"b" {
		t.Errorf("ids %v contain the end or do not come back", ids)
	}
}

func TestLongPiece(t *testing.T) {
	tok, err := model.TrainTokenizer([]string{strings.Repeat("a", 64)}, 300)
	if err != nil {
		t.Fatal(err)
	}
	s := strings.Repeat("a", 1<<20)
	if got := tok.Decode(tok.Encode(s)); got != s {
		t.Error("a long piece does not come back")
	}
}

func TestTokenizerFileRoundTrip(t *testing.T) {
	tok := trained(t, 340)
	raw, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	var got model.Tokenizer
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Size() != tok.Size() || got.End() != tok.End() {
		t.Errorf("size %d, end %d; want %d, %d", got.Size(), got.End(), tok.Size(), tok.End())
	}
	for _, s := range append(corpus, "unseen  text\n") {
		if a, b := got.Encode(s), tok.Encode(s); !slices.Equal(a, b) {
			t.Errorf("%q: %v, want %v", s, a, b)
		}
	}
	// The oldest files do not name the type of the model.
	if err := json.Unmarshal([]byte(strings.Replace(string(raw), `"type":"BPE",`, "", 1)), &got); err != nil {
		t.Errorf("without a type: %v", err)
	}
	// Newer files write merges as pairs.
	pairs := regexp.MustCompile(`"([^" ]+) ([^" ]+)"`).ReplaceAllString(string(raw), `["$1","$2"]`)
	if err := json.Unmarshal([]byte(pairs), &got); err != nil || pairs == string(raw) {
		t.Errorf("merges as pairs: %v", err)
	}
}

func TestTokenizerFileRefuses(t *testing.T) {
	raw, err := json.Marshal(trained(t, 260))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"no JSON":       {`{`, `[`, ""},
		"model":         {`"type":"BPE"`, `"type":"Unigram"`, "only BPE"},
		"pre-tokenizer": {`"pre_tokenizer":{"type":"ByteLevel"`, `"pre_tokenizer":{"type":"Whitespace"`, "pre_tokenizer is Whitespace"},
		"normalizer":    {`"normalizer":null`, `"normalizer":{"type":"NFC"}`, "normalizer must be null"},
		"dropout":       {`"dropout":null`, `"dropout":0.1`, "dropout"},
		"end":           {`"content":"<|endoftext|>"`, `"content":"<s>"`, "lacks an end-of-text token"},
		"end id":        {`"added_tokens":[{"id":259`, `"added_tokens":[{"id":3`, "has ids"},
		"id":            {`"A":32`, `"A":33`, "out of range or taken"},
		"negative id":   {`"A":32`, `"A":-1`, "out of range or taken"},
		"missing byte":  {`"A":32,`, ``, "without gaps"},
		"character":     {`"A":32`, `"語":32`, "not of the byte-level alphabet"},
		"merge":         {`"merges":["`, `"merges":["A B","`, "makes no token"},
		"merge part":    {`"merges":["`, `"merges":["AAA B","`, "not in the vocabulary"},
		"merge pair":    {`"merges":["`, `"merges":["A B C","`, "not a pair"},
	} {
		text := strings.ReplaceAll(string(raw), `\u003c|endoftext|\u003e`, `<|endoftext|>`)
		bad := strings.Replace(text, c.old, c.new, 1)
		if bad == text {
			t.Fatalf("%s: %q is not in the file", name, c.old)
		}
		var tok model.Tokenizer
		if err := json.Unmarshal([]byte(bad), &tok); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// FuzzTokenizer: every string comes back exactly, with ids in range.
func FuzzTokenizer(f *testing.F) {
	for _, s := range append(corpus, "", " ", "\xff\xfe\x00", "it's  12'll\n\n x", model.EndOfText) {
		f.Add(s)
	}
	tok := trained(f, 340)
	f.Fuzz(func(t *testing.T, s string) {
		ids := tok.Encode(s)
		for _, id := range ids {
			if id < 0 || id >= tok.Size() || id == tok.End() {
				t.Fatalf("id %d", id)
			}
		}
		if got := tok.Decode(ids); got != s {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

// FuzzTokenizerFile: no file panics, and a file that is accepted gives a tokenizer that works and is written as it was read.
func FuzzTokenizerFile(f *testing.F) {
	raw, err := json.Marshal(trained(f, 259))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte(pieceFile(pieceWords)))
	f.Add([]byte(`{"model":{"type":"BPE","vocab":{"a":0},"merges":["a a"]},"added_tokens":[{"id":1,"content":"<|endoftext|>"}],"pre_tokenizer":{"type":"ByteLevel"},"decoder":{"type":"ByteLevel"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var tok, again model.Tokenizer
		if json.Unmarshal(raw, &tok) != nil {
			return
		}
		written, err := json.Marshal(&tok)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(written, &again); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		s := fmt.Sprint("any text ", len(raw))
		ids := tok.Encode(s)
		if !slices.Equal(again.Encode(s), ids) || again.Decode(ids) != tok.Decode(ids) {
			t.Fatalf("%q: another tokenizer came back", s)
		}
		for _, id := range ids {
			if id < 0 || id >= tok.Size() {
				t.Fatalf("id %d", id)
			}
		}
	})
}
