package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// alphabet is GPT-2's mapping of bytes to printable characters, in which tokens are spelled in files: printable Latin-1 bytes stand for
// themselves, the others for U+0100 and on. order lists the bytes by their characters, which is the order of their ids.
var alphabet = func() (a struct {
	char  [256]rune
	value map[rune]byte
	order [256]byte
}) {
	a.value = make(map[rune]byte, 256)
	n, next := 0, rune(0x100)
	for pass := range 2 {
		for b := range 256 {
			printable := (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae
			if printable != (pass == 0) {
				continue
			}
			a.char[b] = rune(b)
			if !printable {
				a.char[b] = next
				next++
			}
			a.value[a.char[b]] = byte(b)
			a.order[n] = byte(b)
			n++
		}
	}
	return a
}()

// spell writes bytes in the alphabet.
func spell(token string) string {
	var b strings.Builder
	for i := range len(token) {
		b.WriteRune(alphabet.char[token[i]])
	}
	return b.String()
}

// unspell is spell's inverse.
func unspell(s string) (string, error) {
	var b strings.Builder
	for _, r := range s {
		v, ok := alphabet.value[r]
		if !ok {
			return "", fmt.Errorf("token %q: character %q is not of the byte-level alphabet", s, r)
		}
		b.WriteByte(v)
	}
	return b.String(), nil
}

// tokenizerFile is HuggingFace's tokenizer.json, as far as byte-level BPE needs it.
type tokenizerFile struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  *byteLevel      `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       *byteLevel      `json:"decoder"`
	Model         bpeFile         `json:"model"`
}

type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type byteLevel struct {
	Type           string `json:"type"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	TrimOffsets    bool   `json:"trim_offsets"`
	UseRegex       *bool  `json:"use_regex"`
}

type bpeFile struct {
	Type         string         `json:"type"`
	Dropout      *float64       `json:"dropout"`
	UnknownToken *string        `json:"unk_token"`
	Prefix       string         `json:"continuing_subword_prefix"`
	Suffix       string         `json:"end_of_word_suffix"`
	FuseUnknown  bool           `json:"fuse_unk"`
	ByteFallback bool           `json:"byte_fallback"`
	Vocab        map[string]int `json:"vocab"`
	Merges       []mergeText    `json:"merges"`
}

// mergeText is one merge: "a b", or ["a","b"] as newer files have it.
type mergeText [2]string

func (m mergeText) MarshalJSON() ([]byte, error) { return json.Marshal(m[0] + " " + m[1]) }

func (m *mergeText) UnmarshalJSON(raw []byte) error {
	var pair []string
	if len(raw) > 0 && raw[0] == '[' {
		if err := json.Unmarshal(raw, &pair); err != nil {
			return err
		}
	} else {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
		pair = strings.Split(s, " ")
	}
	if len(pair) != 2 {
		return fmt.Errorf("merge %q is not a pair", pair)
	}
	*m = mergeText{pair[0], pair[1]}
	return nil
}

// MarshalJSON gives HuggingFace's tokenizer.json; equal tokenizers give equal bytes.
func (t *Tokenizer) MarshalJSON() ([]byte, error) {
	yes := true
	level := &byteLevel{Type: "ByteLevel", TrimOffsets: true, UseRegex: &yes}
	f := tokenizerFile{
		Version:      "1.0",
		AddedTokens:  []addedToken{{ID: t.end, Content: EndOfText, Special: true}},
		PreTokenizer: level,
		Decoder:      level,
		Model:        bpeFile{Type: "BPE", Vocab: make(map[string]int, len(t.tokens)), Merges: make([]mergeText, len(t.merges))},
	}
	for id, token := range t.tokens {
		if id == t.end {
			f.Model.Vocab[EndOfText] = id
		} else {
			f.Model.Vocab[spell(token)] = id
		}
	}
	for i, pair := range t.merges {
		f.Model.Merges[i] = mergeText{spell(t.tokens[pair[0]]), spell(t.tokens[pair[1]])}
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads HuggingFace's tokenizer.json of a GPT-2 style tokenizer: byte-level BPE with the token <|endoftext|>. What it cannot
// reproduce exactly (normalizers, other pre-tokenizers, dropout) is an error.
func (t *Tokenizer) UnmarshalJSON(raw []byte) error {
	read, err := decodeTokenizer(raw)
	if err != nil {
		return fmt.Errorf("reading tokenizer.json: %w", err)
	}
	*t = *read
	return nil
}

func decodeTokenizer(raw []byte) (*Tokenizer, error) {
	var f tokenizerFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, err
	}
	pre := f.PreTokenizer
	switch {
	case f.Model.Type != "BPE":
		return nil, fmt.Errorf("model.type is %q; only BPE is supported", f.Model.Type)
	case pre == nil || pre.Type != "ByteLevel" || pre.AddPrefixSpace || (pre.UseRegex != nil && !*pre.UseRegex):
		return nil, errors.New("pre_tokenizer must be ByteLevel with use_regex and without add_prefix_space")
	case len(f.Normalizer) > 0 && string(f.Normalizer) != "null":
		return nil, errors.New("normalizer must be null")
	case f.Model.Dropout != nil || f.Model.Prefix != "" || f.Model.Suffix != "":
		return nil, errors.New("dropout, continuing_subword_prefix and end_of_word_suffix must be empty")
	}
	end := -1
	vocab := f.Model.Vocab
	for _, a := range f.AddedTokens {
		if a.Content != EndOfText {
			return nil, fmt.Errorf("added token %q: only %s is supported", a.Content, EndOfText)
		}
		if id, ok := vocab[EndOfText]; ok && id != a.ID {
			return nil, fmt.Errorf("%s has ids %d and %d", EndOfText, id, a.ID)
		}
		end = a.ID
	}
	if end < 0 {
		return nil, fmt.Errorf("added_tokens lacks %s", EndOfText)
	}
	size := len(vocab)
	if _, ok := vocab[EndOfText]; !ok {
		size++
	}
	if size > maxVocab || end >= size {
		return nil, fmt.Errorf("%d tokens, the last with id %d; at most %d tokens without gaps are allowed", size, end, maxVocab)
	}
	tokens := make([]string, size)
	tokens[end] = EndOfText
	for s, id := range vocab {
		if s == EndOfText {
			continue
		}
		if id < 0 || id >= size || tokens[id] != "" {
			return nil, fmt.Errorf("token %q: id %d is out of range or taken", s, id)
		}
		token, err := unspell(s)
		if err != nil {
			return nil, err
		}
		tokens[id] = token
	}
	merges := make([][2]int, len(f.Model.Merges))
	for i, m := range f.Model.Merges {
		for part, s := range m {
			id, ok := vocab[s]
			if !ok {
				return nil, fmt.Errorf("merge %d: %q is not in the vocabulary", i, s)
			}
			merges[i][part] = id
		}
	}
	return newTokenizer(tokens, merges, end)
}
