package model

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	minVocab = 257 // the bytes and end-of-text
	maxVocab = 1 << 17
)

// TrainTokenizer learns at most vocab tokens (the 256 bytes and end-of-text included) from texts: again and again the most frequent pair
// of neighbours within a piece becomes a token, until vocab is reached or no pair occurs twice. Of equally frequent pairs the one whose
// bytes sort first is taken, so that equal texts, in any order, give an equal tokenizer. Byte tokens come first, in GPT-2's order, then
// the merges, then end-of-text.
func TrainTokenizer(texts []string, vocab int) (*Tokenizer, error) {
	if vocab < minVocab || vocab > maxVocab {
		return nil, fmt.Errorf("training a tokenizer: a vocabulary of %d tokens; it must be %d to %d", vocab, minVocab, maxVocab)
	}
	tokens := make([]string, 0, vocab)
	for _, b := range alphabet.order {
		tokens = append(tokens, string([]byte{b}))
	}
	counts := countPairs(texts)
	var merges [][2]int
	for len(tokens) < vocab-1 {
		pair, ok := counts.best(tokens)
		if !ok {
			break
		}
		// Two merges may spell one token ("a"+"bc" and "ab"+"c"); the second takes the id of the first.
		joined := tokens[pair[0]] + tokens[pair[1]]
		id := slices.Index(tokens, joined)
		if id < 0 {
			id = len(tokens)
			tokens = append(tokens, joined)
		}
		merges = append(merges, pair)
		counts.merge(pair, id)
	}
	t, err := newTokenizer(append(tokens, EndOfText), merges, []addedToken{{ID: len(tokens), Content: EndOfText, Special: true}}, len(tokens), nil)
	if err != nil {
		return nil, fmt.Errorf("training a tokenizer: %w", err)
	}
	return t, nil
}

// pairCounts counts pairs of neighbours in the distinct pieces of a text, and knows where they are.
type pairCounts struct {
	pieces [][]int
	times  []int // how often each piece occurs
	pairs  map[[2]int]int
	where  map[[2]int]map[int]struct{} // pair -> indices of pieces that have, or had, it
}

func countPairs(texts []string) *pairCounts {
	times := map[string]int{}
	for _, s := range texts {
		for s != "" {
			n := pieceLen(s)
			times[s[:n]]++
			s = s[n:]
		}
	}
	var byteID [256]int
	for id, b := range alphabet.order {
		byteID[b] = id
	}
	c := &pairCounts{pairs: map[[2]int]int{}, where: map[[2]int]map[int]struct{}{}}
	for _, piece := range slices.Sorted(maps.Keys(times)) {
		ids := make([]int, len(piece))
		for i := range ids {
			ids[i] = byteID[piece[i]]
		}
		c.pieces = append(c.pieces, ids)
		c.times = append(c.times, times[piece])
		c.count(len(c.pieces)-1, 1)
	}
	return c
}

// count adds (sign 1) or takes away (sign -1) the pairs of piece p.
func (c *pairCounts) count(p, sign int) {
	ids := c.pieces[p]
	for i := 1; i < len(ids); i++ {
		pair := [2]int{ids[i-1], ids[i]}
		c.pairs[pair] += sign * c.times[p]
		if c.pairs[pair] == 0 {
			delete(c.pairs, pair)
			delete(c.where, pair)
		} else if sign > 0 {
			if c.where[pair] == nil {
				c.where[pair] = map[int]struct{}{}
			}
			c.where[pair][p] = struct{}{}
		}
	}
}

// best is the most frequent pair that occurs at least twice; among equals the one whose bytes sort first.
func (c *pairCounts) best(tokens []string) (pair [2]int, ok bool) {
	most := 1
	for p, n := range c.pairs {
		if n > most || (n == most && ok && less(tokens, p, pair)) {
			pair, most, ok = p, n, true
		}
	}
	return pair, ok
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

func less(tokens []string, a, b [2]int) bool {
	if c := strings.Compare(tokens[a[0]], tokens[b[0]]); c != 0 {
		return c < 0
	}
	return tokens[a[1]] < tokens[b[1]]
}

// merge replaces pair by id in all pieces.
func (c *pairCounts) merge(pair [2]int, id int) {
	for p := range maps.Clone(c.where[pair]) {
		c.count(p, -1)
		c.pieces[p] = replacePair(c.pieces[p], pair, id)
		c.count(p, 1)
	}
}
