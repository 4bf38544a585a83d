package model

import (
	"fmt"
	"strings"
)

// EndOfText is the token that ends every document; text that spells it is encoded as ordinary bytes.
const EndOfText = "<|endoftext|>"

// Tokenizer is GPT-2's byte-level BPE: text is cut into pieces (tokenizer_split.go), and in every piece the pair of neighbours that was
// learned first is joined, until none is left. All 256 bytes are tokens, so that anything can be encoded and comes back exactly, UTF-8
// or not. Immutable, and safe for concurrent use.
type Tokenizer struct {
	tokens []string        // id -> bytes; that of end is EndOfText
	bytes  [256]int        // byte -> id
	joins  map[[2]int]join // pair of ids -> what it becomes
	merges [][2]int        // the pairs in the order learned
	end    int
}

// join is one learned merge.
type join struct{ rank, id int }

// Encode gives the ids of s, without an end-of-text token.
func (t *Tokenizer) Encode(s string) []int {
	ids := make([]int, 0, len(s))
	for s != "" {
		n := pieceLen(s)
		start := len(ids)
		for i := range n {
			ids = append(ids, t.bytes[s[i]])
		}
		ids = ids[:start+t.join(ids[start:])]
		s = s[n:]
	}
	return ids
}

// join applies the merges to ids in place and returns how many are left. Every pass joins all occurrences of the pair that was learned
// first, so that the number of passes is bounded by the merges and not by the length of the piece.
func (t *Tokenizer) join(ids []int) int {
	for len(ids) > 1 {
		best, found := join{rank: len(t.merges)}, false
		for i := 1; i < len(ids); i++ {
			if j, ok := t.joins[[2]int{ids[i-1], ids[i]}]; ok && j.rank < best.rank {
				best, found = j, true
			}
		}
		if !found {
			break
		}
		ids = replacePair(ids, t.merges[best.rank], best.id)
	}
	return len(ids)
}

// replacePair replaces every occurrence of pair in ids, from the left, by id; in place.
func replacePair(ids []int, pair [2]int, id int) []int {
	out := ids[:0]
	for i := 0; i < len(ids); i++ {
		if i+1 < len(ids) && ids[i] == pair[0] && ids[i+1] == pair[1] {
			out = append(out, id)
			i++
		} else {
			out = append(out, ids[i])
		}
	}
	return out
}

// Decode gives the bytes of ids up to the first end-of-text token. Ids outside the vocabulary add nothing. A model's output may break
// off within a character; the bytes are returned as they are.
func (t *Tokenizer) Decode(ids []int) string {
	var b strings.Builder
	for _, id := range ids {
		if id == t.end {
			break
		}
		if id >= 0 && id < len(t.tokens) {
			b.WriteString(t.tokens[id])
		}
	}
	return b.String()
}

// End is the id of the end-of-text token: the last one, as GPT-2 has it, in a tokenizer that was trained here.
func (t *Tokenizer) End() int { return t.end }

// Size is the number of tokens; ids are 0 to Size-1.
func (t *Tokenizer) Size() int { return len(t.tokens) }

// newTokenizer builds a tokenizer from its tokens (bytes by id), merges and the id of end-of-text, and checks that they fit together.
func newTokenizer(tokens []string, merges [][2]int, end int) (*Tokenizer, error) {
	t := &Tokenizer{tokens: tokens, merges: merges, end: end, joins: make(map[[2]int]join, len(merges))}
	ids := make(map[string]int, len(tokens))
	for id, s := range tokens {
		if id == end {
			continue
		}
		if first, twice := ids[s]; twice || s == "" {
			return nil, fmt.Errorf("token %d, %q, is empty or equal to token %d", id, s, first)
		}
		ids[s] = id
	}
	for b := range t.bytes {
		id, ok := ids[string([]byte{byte(b)})]
		if !ok {
			return nil, fmt.Errorf("no token for byte 0x%02x", b)
		}
		t.bytes[b] = id
	}
	for rank, pair := range merges {
		id, ok := ids[tokens[pair[0]]+tokens[pair[1]]]
		if !ok || pair[0] == end || pair[1] == end {
			return nil, fmt.Errorf("merge %d, %q + %q, makes no token", rank, tokens[pair[0]], tokens[pair[1]])
		}
		if _, twice := t.joins[pair]; twice {
			return nil, fmt.Errorf("merge %d, %q + %q, occurs twice", rank, tokens[pair[0]], tokens[pair[1]])
		}
		t.joins[pair] = join{rank, id}
	}
	return t, nil
}
