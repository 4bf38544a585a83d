package model

import (
	"fmt"
	"strings"
)

// EndOfText is the token that ends every document in a tokenizer that was trained here; text that spells it is encoded as
// ordinary bytes.
const EndOfText = "<|endoftext|>"

// Tokenizer is byte-pair encoding: neighbours are joined, the pair that was learned first before all others, until no pair is
// known. There are two kinds. GPT-2's byte-level BPE cuts text into pieces (tokenizer_split.go) and joins bytes; all 256 are
// tokens, so that anything can be encoded and comes back exactly, UTF-8 or not. SentencePiece's, as Llama has it, writes spaces as
// ▁ (tokenizer_steps.go), joins characters over the whole text, and spells a character that is no token in byte tokens <0x00> to
// <0xFF>; what is not UTF-8 comes back as U+FFFD.
//
// Special tokens have a meaning for the model, like the end of a text. No text encodes to them, whatever it spells, so that
// nobody's data can end a prompt; and they decode to nothing. Immutable, and safe for concurrent use.
type Tokenizer struct {
	tokens  []string       // id -> bytes; those of special tokens are their names
	ids     map[string]int // the inverse, without added tokens
	bytes   [256]int       // byte -> id
	joins   map[[2]int]join
	merges  [][2]int // the pairs in the order learned
	added   []addedToken
	special map[int]bool
	plain   map[byte][]int // added tokens that are found in text, by their first byte, the longest first
	end     int
	begin   []int
	pieces  *sentencePiece // nil: byte-level
}

// join is what a pair of ids becomes.
type join struct{ rank, id int }

// Encode gives the ids of s, without special tokens.
func (t *Tokenizer) Encode(s string) []int {
	ids := make([]int, 0, len(s))
	var m merger
	for s != "" {
		before, token, length := t.findAdded(s)
		ids = t.encodePlain(ids, s[:before], &m)
		if length > 0 {
			ids = append(ids, token)
		}
		s = s[before+length:]
	}
	return ids
}

// findAdded finds the first added token in s, and of several that begin there the longest.
func (t *Tokenizer) findAdded(s string) (before, id, length int) {
	if len(t.plain) > 0 {
		for i := range len(s) {
			for _, id := range t.plain[s[i]] {
				if strings.HasPrefix(s[i:], t.tokens[id]) {
					return i, id, len(t.tokens[id])
				}
			}
		}
	}
	return len(s), 0, 0
}

// encodePlain appends the ids of s, in which no added token is.
func (t *Tokenizer) encodePlain(ids []int, s string, m *merger) []int {
	if t.pieces != nil {
		m.reset()
		for s := t.pieces.normalise(s); s != ""; {
			n := runeLen(s)
			if id, ok := t.ids[s[:n]]; ok {
				m.add(id)
			} else {
				t.addBytes(m, s[:n])
			}
			s = s[n:]
		}
		return m.join(ids, t)
	}
	for s != "" {
		n := pieceLen(s)
		m.reset()
		t.addBytes(m, s[:n])
		ids = m.join(ids, t)
		s = s[n:]
	}
	return ids
}

func (t *Tokenizer) addBytes(m *merger, s string) {
	for i := range len(s) {
		m.add(t.bytes[s[i]])
	}
}

// Decode gives the text of ids up to the first end-of-text token. Special tokens and ids outside the vocabulary add nothing. A
// model's output may break off within a character: byte-level BPE returns the bytes as they are.
func (t *Tokenizer) Decode(ids []int) string {
	var texts []string
	for _, id := range ids {
		if id == t.end {
			break
		}
		if id >= 0 && id < len(t.tokens) && !t.special[id] {
			texts = append(texts, t.tokens[id])
		}
	}
	if t.pieces != nil {
		return t.pieces.text(texts)
	}
	return strings.Join(texts, "")
}

// End is the id of the end-of-text token: the last one, as GPT-2 has it, in a tokenizer that was trained here.
func (t *Tokenizer) End() int { return t.end }

// WithEnd is the tokenizer with another of its added tokens as the end of text.
func (t *Tokenizer) WithEnd(name string) (*Tokenizer, error) {
	end, err := chooseEnd(t.added, -1, name)
	if err != nil {
		return nil, err
	}
	other, err := newTokenizer(t.tokens, t.merges, t.added, end, t.pieces)
	if err != nil {
		return nil, err
	}
	other.begin = t.begin
	return other, nil
}

// Begin are the ids that the model was trained to find in front of every text: <s> for Llama, none for GPT-2. Encode leaves them
// to the caller, because a soft prompt may come first.
func (t *Tokenizer) Begin() []int { return append([]int(nil), t.begin...) }

// Size is the number of tokens; ids are 0 to Size-1.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// newTokenizer builds a tokenizer from its tokens, merges, added tokens and the id of end-of-text, which is one of them, and
// checks that they fit together. pieces is nil for byte-level BPE.
func newTokenizer(tokens []string, merges [][2]int, added []addedToken, end int, pieces *sentencePiece) (*Tokenizer, error) {
	t := &Tokenizer{
		tokens: tokens, merges: merges, added: added, end: end, pieces: pieces,
		ids: make(map[string]int, len(tokens)), joins: make(map[[2]int]join, len(merges)), special: make(map[int]bool),
	}
	if err := t.placeAdded(); err != nil {
		return nil, err
	}
	isAdded := make(map[int]bool, len(added))
	for _, a := range added {
		isAdded[a.ID] = true
	}
	for id, s := range tokens {
		if isAdded[id] {
			continue
		}
		if first, twice := t.ids[s]; twice || s == "" {
			return nil, fmt.Errorf("token %d, %q, is empty or equal to token %d", id, s, first)
		}
		t.ids[s] = id
	}
	for b := range t.bytes {
		name := string([]byte{byte(b)})
		if pieces != nil {
			name = byteToken(byte(b))
		}
		id, ok := t.ids[name]
		if !ok {
			return nil, fmt.Errorf("no token for byte 0x%02x", b)
		}
		t.bytes[b] = id
	}
	for rank, pair := range merges {
		id, ok := t.ids[tokens[pair[0]]+tokens[pair[1]]]
		if !ok || isAdded[pair[0]] || isAdded[pair[1]] {
			return nil, fmt.Errorf("merge %d, %q + %q, makes no token", rank, tokens[pair[0]], tokens[pair[1]])
		}
		if _, twice := t.joins[pair]; twice {
			return nil, fmt.Errorf("merge %d, %q + %q, occurs twice", rank, tokens[pair[0]], tokens[pair[1]])
		}
		t.joins[pair] = join{rank, id}
	}
	return t, nil
}
