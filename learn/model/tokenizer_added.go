package model

import (
	"cmp"
	"fmt"
	"slices"
)

// addedToken is a token beside the vocabulary, as tokenizer.json has it. A special one is never found in text.
type addedToken struct {
	ID         int    `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

// ends are the names of end-of-text tokens where a file does not say which it is.
var ends = []string{EndOfText, "</s>", "<|end_of_text|>"}

// chooseEnd gives the id of the end-of-text token: that of the given id or name, if there is one, or the first of ends.
func chooseEnd(added []addedToken, id int, name string) (int, error) {
	find := func(match func(a addedToken) bool) (int, bool) {
		at := slices.IndexFunc(added, match)
		if at < 0 {
			return -1, false
		}
		return added[at].ID, true
	}
	if id >= 0 {
		if end, ok := find(func(a addedToken) bool { return a.ID == id }); ok {
			return end, nil
		}
		return -1, fmt.Errorf("the end-of-text token %d is none of added_tokens", id)
	}
	names := ends
	if name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if end, ok := find(func(a addedToken) bool { return a.Content == name }); ok {
			return end, nil
		}
	}
	return -1, fmt.Errorf("added_tokens lacks an end-of-text token: one of %q", names)
}

// placeAdded sorts the added tokens into special ones and those found in text.
func (t *Tokenizer) placeAdded() error {
	t.plain = make(map[byte][]int)
	for _, a := range t.added {
		if a.Special || a.ID == t.end {
			t.special[a.ID] = true
			continue
		}
		switch {
		case a.SingleWord || a.LStrip || a.RStrip:
			return fmt.Errorf("added token %q: single_word, lstrip and rstrip are supported for special tokens alone", a.Content)
		case a.Normalized && t.pieces != nil && len(t.pieces.before) > 0:
			return fmt.Errorf("added token %q: normalized is supported without a normalizer alone", a.Content)
		}
		first := a.Content[0]
		t.plain[first] = append(t.plain[first], a.ID)
	}
	for _, ids := range t.plain {
		slices.SortFunc(ids, func(a, b int) int { return cmp.Or(cmp.Compare(len(t.tokens[b]), len(t.tokens[a])), cmp.Compare(a, b)) })
	}
	return nil
}
