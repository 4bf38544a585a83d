package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// tokenizerFile is HuggingFace's tokenizer.json, as far as it is supported.
type tokenizerFile struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"` // for the caller to decide, and ignored, as padding is
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    *component      `json:"normalizer"`
	PreTokenizer  *component      `json:"pre_tokenizer"`
	PostProcessor *component      `json:"post_processor"`
	Decoder       *component      `json:"decoder"`
	Model         bpeFile         `json:"model"`

	// EOS names the end-of-text token, as tokenizer_config.json does; HuggingFace's tokenizer.json has no place for it.
	EOS string `json:"eos_token,omitempty"`
}

type bpeFile struct {
	Type         string         `json:"type"`
	Dropout      *float64       `json:"dropout"`
	UnknownToken *string        `json:"unk_token"`
	Prefix       string         `json:"continuing_subword_prefix"`
	Suffix       string         `json:"end_of_word_suffix"`
	FuseUnknown  bool           `json:"fuse_unk"`
	ByteFallback bool           `json:"byte_fallback"`
	IgnoreMerges bool           `json:"ignore_merges,omitempty"`
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

// templatePart is one step of a template: a special token, or the text A.
type templatePart struct {
	SpecialToken *templateName `json:"SpecialToken,omitempty"`
	Sequence     *templateName `json:"Sequence,omitempty"`
}

type templateName struct {
	ID     string `json:"id"`
	TypeID int    `json:"type_id"`
}

type templateSpecial struct {
	ID     string   `json:"id"`
	IDs    []int    `json:"ids"`
	Tokens []string `json:"tokens"`
}

// MarshalJSON gives HuggingFace's tokenizer.json; equal tokenizers give equal bytes.
func (t *Tokenizer) MarshalJSON() ([]byte, error) {
	f := tokenizerFile{
		Version:     "1.0",
		AddedTokens: t.added,
		Model:       bpeFile{Type: "BPE", Vocab: make(map[string]int, len(t.tokens)), Merges: make([]mergeText, len(t.merges))},
	}
	write := spell
	if t.pieces != nil {
		write = func(token string) string { return token }
		f.Model.ByteFallback, f.Model.FuseUnknown = true, true
		if len(t.pieces.before) > 0 {
			f.Normalizer = &component{Type: "Sequence", Normalizers: t.pieces.before}
		}
		if len(t.pieces.after) > 0 {
			f.Decoder = &component{Type: "Sequence", Decoders: t.pieces.after}
		}
	} else {
		no, yes := false, true
		f.PreTokenizer = &component{Type: "ByteLevel", AddPrefixSpace: &no, TrimOffsets: &yes, UseRegex: &yes}
		f.Decoder = f.PreTokenizer
	}
	if len(t.begin) > 0 {
		f.PostProcessor = t.template()
	}
	for token, id := range t.ids {
		f.Model.Vocab[write(token)] = id
	}
	for _, a := range t.added {
		f.Model.Vocab[a.Content] = a.ID
	}
	for i, pair := range t.merges {
		f.Model.Merges[i] = mergeText{write(t.tokens[pair[0]]), write(t.tokens[pair[1]])}
	}
	if end, err := chooseEnd(t.added, -1, ""); err != nil || end != t.end {
		f.EOS = t.tokens[t.end]
	}
	return json.Marshal(f)
}

// template writes the begin tokens in front of a text.
func (t *Tokenizer) template() *component {
	c := &component{Type: "TemplateProcessing", SpecialTokens: make(map[string]templateSpecial)}
	for _, id := range t.begin {
		name := t.tokens[id]
		c.Single = append(c.Single, templatePart{SpecialToken: &templateName{ID: name}})
		c.SpecialTokens[name] = templateSpecial{ID: name, IDs: []int{id}, Tokens: []string{name}}
	}
	begin := c.Single
	c.Single = append(slices.Clone(begin), templatePart{Sequence: &templateName{ID: "A"}})
	c.Pair = append(slices.Clone(c.Single), begin...) // which HuggingFace's reader asks for
	c.Pair = append(c.Pair, templatePart{Sequence: &templateName{ID: "B", TypeID: 1}})
	return c
}

// UnmarshalJSON reads HuggingFace's tokenizer.json of a byte-level BPE with GPT-2's pieces, or of a SentencePiece-style BPE with byte
// fallback. What cannot be reproduced exactly (other models, pre-tokenizers and normalizers, dropout) is an error that names it.
func (t *Tokenizer) UnmarshalJSON(raw []byte) error {
	read, err := decodeTokenizer(raw, -1)
	if err != nil {
		return fmt.Errorf("reading tokenizer.json: %w", err)
	}
	*t = *read
	return nil
}

// decodeTokenizer reads a tokenizer.json whose end-of-text token has the id end, if that is not negative.
func decodeTokenizer(raw []byte, end int) (*Tokenizer, error) {
	var f tokenizerFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, err
	}
	switch {
	case f.Model.Type != "BPE" && (f.Model.Type != "" || len(f.Model.Merges) == 0): // older files do not name it
		return nil, fmt.Errorf("model.type is %q; only BPE is supported", f.Model.Type)
	case f.Model.Dropout != nil || f.Model.Prefix != "" || f.Model.Suffix != "" || f.Model.IgnoreMerges:
		return nil, errors.New("dropout, continuing_subword_prefix, end_of_word_suffix and ignore_merges must be empty")
	}
	pieces, err := f.kind()
	if err != nil {
		return nil, err
	}
	if end, err = chooseEnd(f.AddedTokens, end, f.EOS); err != nil {
		return nil, err
	}
	tokens, err := f.tokens(pieces == nil)
	if err != nil {
		return nil, err
	}
	merges := make([][2]int, len(f.Model.Merges))
	for i, m := range f.Model.Merges {
		for part, s := range m {
			id, ok := f.Model.Vocab[s]
			if !ok {
				return nil, fmt.Errorf("merge %d: %q is not in the vocabulary", i, s)
			}
			merges[i][part] = id
		}
	}
	slices.SortStableFunc(f.AddedTokens, func(a, b addedToken) int { return a.ID - b.ID })
	t, err := newTokenizer(tokens, merges, f.AddedTokens, end, pieces)
	if err != nil {
		return nil, err
	}
	t.begin, err = f.begin(t)
	return t, err
}

// kind checks the components. It gives nil for byte-level BPE.
func (f *tokenizerFile) kind() (*sentencePiece, error) {
	if pre := f.PreTokenizer; pre != nil {
		switch {
		case pre.Type != "ByteLevel" || isTrue(pre.AddPrefixSpace) || (pre.UseRegex != nil && !*pre.UseRegex):
			return nil, fmt.Errorf("pre_tokenizer is %v; it must be null, or ByteLevel with use_regex and without add_prefix_space", pre)
		case f.Normalizer != nil:
			return nil, fmt.Errorf("normalizer is %v; with the pre_tokenizer ByteLevel, normalizer must be null", f.Normalizer)
		case f.Decoder == nil || f.Decoder.Type != "ByteLevel":
			return nil, fmt.Errorf("decoder is %v; with the pre_tokenizer ByteLevel, decoder must be ByteLevel", f.Decoder)
		}
		return nil, nil
	}
	if !f.Model.ByteFallback {
		return nil, errors.New("byte_fallback is false; without the pre_tokenizer ByteLevel it must be true")
	}
	var p sentencePiece
	var err error
	if p.before, err = f.Normalizer.list("normalizer", "Prepend", "Replace"); err != nil {
		return nil, err
	}
	p.after, err = f.Decoder.list("decoder", "Replace", "ByteFallback", "Fuse", "Strip")
	return &p, err
}

func isTrue(b *bool) bool { return b != nil && *b }

// tokens lists vocabulary and added tokens by id.
func (f *tokenizerFile) tokens(spelled bool) ([]string, error) {
	vocab, added := f.Model.Vocab, make(map[string]int)
	size := len(vocab)
	for _, a := range f.AddedTokens {
		id, known := vocab[a.Content]
		if first, twice := added[a.Content]; twice || a.Content == "" {
			return nil, fmt.Errorf("added token %q is empty or has ids %d and %d", a.Content, first, a.ID)
		}
		if known && id != a.ID {
			return nil, fmt.Errorf("added token %q has ids %d and %d", a.Content, id, a.ID)
		}
		if added[a.Content] = a.ID; !known {
			size++
		}
	}
	if size > maxVocab {
		return nil, fmt.Errorf("%d tokens; at most %d are allowed", size, maxVocab)
	}
	tokens := make([]string, size)
	put := func(s string, id int, text string) error {
		if id < 0 || id >= size || tokens[id] != "" {
			return fmt.Errorf("token %q: id %d is out of range or taken; %d tokens need the ids from 0 without gaps", s, id, size)
		}
		tokens[id] = text
		return nil
	}
	for _, a := range f.AddedTokens {
		if err := put(a.Content, a.ID, a.Content); err != nil {
			return nil, err
		}
	}
	for s, id := range vocab {
		if _, ok := added[s]; ok {
			continue
		}
		text := s
		if spelled {
			var err error
			if text, err = unspell(s); err != nil {
				return nil, err
			}
		}
		if err := put(s, id, text); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// begin checks the post-processor and gives the special tokens that it puts in front of a text.
func (f *tokenizerFile) begin(t *Tokenizer) ([]int, error) {
	c := f.PostProcessor
	switch {
	case c == nil || c.Type == "ByteLevel": // which moves offsets alone
		return nil, nil
	case c.Type != "TemplateProcessing":
		return nil, fmt.Errorf("post_processor is %v; supported: null, ByteLevel, TemplateProcessing", c)
	}
	var ids []int
	for i, part := range c.Single {
		switch {
		case part.Sequence != nil && part.Sequence.ID == "A" && i == len(c.Single)-1:
			return ids, nil
		case part.SpecialToken == nil:
			return nil, errors.New("post_processor TemplateProcessing: single must be special tokens and then the sequence A")
		}
		special := c.SpecialTokens[part.SpecialToken.ID]
		for _, id := range special.IDs {
			if !t.special[id] {
				return nil, fmt.Errorf("post_processor TemplateProcessing: %q has id %d, which is no special token", part.SpecialToken.ID, id)
			}
		}
		ids = append(ids, special.IDs...)
	}
	return nil, errors.New("post_processor TemplateProcessing: single must end with the sequence A; special tokens behind a text are not supported")
}
