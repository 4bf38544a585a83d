package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mlecs/mlecs/learn/model"
)

// pieceFile is the tokenizer.json of a small SentencePiece-style tokenizer: <unk>, <s>, </s>, the bytes, then words, each
// made of the two before it that are given with it.
func pieceFile(words [][3]string, edit ...string) string {
	vocab := map[string]int{"<unk>": 0, "<s>": 1, "</s>": 2}
	for b := range 256 {
		vocab[fmt.Sprintf("<0x%02X>", b)] = 3 + b
	}
	var merges []string
	for _, w := range words {
		for _, s := range w {
			if _, ok := vocab[s]; !ok && s != "" {
				vocab[s] = len(vocab)
			}
		}
		if w[1] != "" {
			merges = append(merges, w[1]+" "+w[2])
		}
	}
	v, err := json.Marshal(vocab)
	if err != nil {
		panic(err)
	}
	m, err := json.Marshal(merges)
	if err != nil {
		panic(err)
	}
	text := `{"version":"1.0","truncation":null,"padding":null,
"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
"pre_tokenizer":null,
"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],
"pair":[],"special_tokens":{"<s>":{"id":"<s>","ids":[1],"tokens":["<s>"]}}},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","dropout":null,"unk_token":"<unk>","continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,
"ignore_merges":false,"vocab":` + string(v) + `,"merges":` + string(m) + `}}`
	for i := 0; i < len(edit); i += 2 {
		if !strings.Contains(text, edit[i]) {
			panic("the file has no " + edit[i])
		}
		text = strings.Replace(text, edit[i], edit[i+1], 1)
	}
	return text
}

// words of the small tokenizer, in the order of ids from 259 on: ▁ a b ▁a ab c abc ▁ab.
var pieceWords = [][3]string{{"▁"}, {"a"}, {"b"}, {"▁a", "▁", "a"}, {"ab", "a", "b"}, {"c"}, {"abc", "ab", "c"}, {"▁ab", "▁a", "b"}}

func pieces(t testing.TB, edit ...string) *model.Tokenizer {
	t.Helper()
	var tok model.Tokenizer
	if err := json.Unmarshal([]byte(pieceFile(pieceWords, edit...)), &tok); err != nil {
		t.Fatal(err)
	}
	return &tok
}

func TestSentencePieces(t *testing.T) {
	tok := pieces(t)
	if tok.Size() != 267 || tok.End() != 2 || !slices.Equal(tok.Begin(), []int{1}) {
		t.Errorf("%d tokens, end %d, begin %v", tok.Size(), tok.End(), tok.Begin())
	}
	for _, c := range []struct {
		text string
		ids  []int
	}{
		{"", []int{}},
		{" ", []int{259, 259}},
		{"ab", []int{266}},
		{"abc", []int{266, 264}},            // ▁a is learned before ab
		{"cabc", []int{259, 264, 265}},      //
		{"a  a", []int{262, 259, 262}},      // white space is kept
		{"é", []int{259, 3 + 195, 3 + 169}}, // no token: its bytes
		{"<s>", []int{259, 3 + '<', 3 + 's', 3 + '>'}},
	} {
		if got := tok.Encode(c.text); !slices.Equal(got, c.ids) {
			t.Errorf("%q: ids %v, want %v", c.text, got, c.ids)
		}
		if got := tok.Decode(c.ids); got != c.text {
			t.Errorf("%v: text %q, want %q", c.ids, got, c.text)
		}
	}
	for _, c := range []struct {
		ids  []int
		text string
	}{
		{[]int{1, 266, 0, 264, 2, 266}, "abc"},
		{[]int{3 + 0xc3}, "\ufffd"},
		{[]int{3 + 0xff, 3 + 'A'}, "\ufffd\ufffd"}, // a broken run is lost as a whole
		{[]int{3 + 'A', 261, 3 + 0xc3, 3 + 0xa9}, "Abé"},
		{[]int{-1, 1 << 20, 261}, "b"},
	} {
		if got := tok.Decode(c.ids); got != c.text {
			t.Errorf("%v: text %q, want %q", c.ids, got, c.text)
		}
	}
}

// TestMergesGoByRankAndThenFromTheLeft: joining b+c makes a pair that was learned before, which comes before the second b+c.
func TestMergesGoByRankAndThenFromTheLeft(t *testing.T) {
	tok := pieces(t)
	if got := tok.Encode("aab"); !slices.Equal(got, []int{262, 263}) {
		t.Errorf("aab: %v", got)
	}
	odd := [][3]string{{"a"}, {"b"}, {"c"}, {"▁"}, {"bc"}, {"abc", "a", "bc"}, {"abcb", "abc", "b"}, {"bc", "b", "c"}}
	var file model.Tokenizer
	if err := json.Unmarshal([]byte(pieceFile(odd)), &file); err != nil {
		t.Fatal(err)
	}
	// ▁ a b c b c: bc first, then a+bc and abc+b before the other b+c; the last c stays.
	if got := file.Encode("abcbc"); !slices.Equal(got, []int{262, 265, 261}) {
		t.Errorf("abcbc: %v", got)
	}
}

func TestAddedTokensInText(t *testing.T) {
	const added = `{"id":267,"content":"<img>","special":false},{"id":268,"content":"<img>s","special":false},`
	tok := pieces(t, `"added_tokens":[`, `"added_tokens":[`+added)
	// What stands between added tokens is text of its own, with a ▁ in front.
	if got := tok.Encode("a<img>sb<img></s>"); !slices.Equal(got, []int{262, 268, 259, 261, 267, 259, 3 + '<', 3 + '/', 3 + 's', 3 + '>'}) {
		t.Errorf("ids %v", got)
	}
	if got := tok.Decode([]int{262, 267}); got != "a<img>" {
		t.Errorf("text %q", got)
	}
}

func TestSentencePieceFileRoundTrip(t *testing.T) {
	tok := pieces(t, `"added_tokens":[`, `"added_tokens":[{"id":267,"content":"<img>","special":false},`)
	raw, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	var again model.Tokenizer
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(&again)
	if err != nil || string(second) != string(raw) {
		t.Errorf("written otherwise the second time: %v", err)
	}
	if !slices.Equal(again.Begin(), tok.Begin()) || again.End() != tok.End() || !slices.Equal(again.Encode("abc é<img>"), tok.Encode("abc é<img>")) {
		t.Error("another tokenizer came back")
	}
}

func TestUnsupportedTokenizers(t *testing.T) {
	const normalizer = `{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},`
	for name, c := range map[string]struct{ old, new, want string }{
		"normalizer":         {normalizer, normalizer + `{"type":"NFKC"},`, "NFKC is not supported"},
		"pattern":            {`{"String":" "}`, `{"Regex":" +"}`, "Replace needs a pattern that is a string"},
		"pre-tokenizer":      {`"pre_tokenizer":null`, `"pre_tokenizer":{"type":"Metaspace"}`, "pre_tokenizer is Metaspace"},
		"pre-tokenizers":     {`"pre_tokenizer":null`, `"pre_tokenizer":{"type":"Sequence","pretokenizers":[{"type":"Split"},{"type":"ByteLevel"}]}`, "Sequence(Split, ByteLevel)"},
		"decoder":            {`{"type":"Fuse"}`, `{"type":"WordPiece"}`, "WordPiece is not supported"},
		"growth":             {normalizer, normalizer + strings.Repeat(`{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaa"},`, 3), "without measure"},
		"strip":              {`"start":1`, `"start":-1`, "Strip needs"},
		"post-processor":     {`"TemplateProcessing"`, `"BertProcessing"`, "BertProcessing"},
		"template":           {`{"Sequence":{"id":"A","type_id":0}}`, `{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"</s>","type_id":0}}`, "TemplateProcessing"},
		"template's token":   {`"ids":[1]`, `"ids":[260]`, "no special token"},
		"no byte fallback":   {`"byte_fallback":true`, `"byte_fallback":false`, "byte_fallback is false"},
		"ignored merges":     {`"ignore_merges":false`, `"ignore_merges":true`, "ignore_merges"},
		"missing byte":       {`"\u003c0x41\u003e"`, `"\u003c0x4\u003e"`, "no token for byte 0x41"},
		"no end":             {`"content":"</s>"`, `"content":"</t>"`, "end-of-text"},
		"words in text":      {`"content":"<unk>","special":true`, `"content":"<unk>","single_word":true`, "single_word"},
		"normalised in text": {`"content":"<unk>","special":true`, `"content":"<unk>","normalized":true`, "normalized"},
		"empty added token":  {`"content":"<unk>"`, `"content":""`, "empty"},
		"gap":                {`"added_tokens":[`, `"added_tokens":[{"id":400,"content":"<pad>","special":true},`, "without gaps"},
	} {
		var tok model.Tokenizer
		if err := json.Unmarshal([]byte(pieceFile(pieceWords, c.old, c.new)), &tok); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// FuzzSentencePieces: every text encodes to ids in range without special ones, and what is UTF-8 comes back, but for ▁ itself, which
// stands for a space.
func FuzzSentencePieces(f *testing.F) {
	for _, s := range []string{"", " ", "abc  abc", "é日本\x00", "<s></s>", "\xff", "▁a"} {
		f.Add(s)
	}
	tok := pieces(f)
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		ids := tok.Encode(s)
		for _, id := range ids {
			if id < 3 || id >= tok.Size() {
				t.Fatalf("id %d", id)
			}
		}
		if got, want := tok.Decode(ids), strings.ReplaceAll(s, "▁", " "); got != want {
			t.Fatalf("%q came back as %q", s, got)
		}
	})
}

func TestAnotherEnd(t *testing.T) {
	tok, err := pieces(t).WithEnd("<s>")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	var again model.Tokenizer
	if err := json.Unmarshal(raw, &again); err != nil {
		t.Fatal(err)
	}
	for _, tok := range []*model.Tokenizer{tok, &again} {
		if got := tok.Decode([]int{2, 261, 1, 261}); tok.End() != 1 || got != "b" {
			t.Errorf("end %d, text %q", tok.End(), got)
		}
	}
	if _, err := tok.WithEnd("▁a"); err == nil {
		t.Error("an ordinary token became the end")
	}
}

func TestTwinsOfEnd(t *testing.T) {
	base := tinyOf(t, model.Llama, 1)
	if n := base.TwinsOfEnd(); n != 0 {
		t.Errorf("%d twins in random weights", n)
	}
	head, end := base.Tensors["lm_head.weight"], base.Tokenizer.End()
	for _, id := range []int{3, 7} {
		copy(head.Data[id*32:][:32], head.Data[end*32:][:32])
	}
	if n := base.TwinsOfEnd(); n != 2 {
		t.Errorf("%d twins, want 2", n)
	}
}
