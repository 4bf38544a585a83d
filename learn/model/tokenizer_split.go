package model

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// pieceLen is the length in bytes of the first piece of s, which is not empty, by GPT-2's pattern
//
//	's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//
// written by hand, because regexp has no lookahead. Bytes that are not UTF-8 count as "other".
func pieceLen(s string) int {
	if s[0] == '\'' {
		for _, c := range contractions {
			if strings.HasPrefix(s, c) {
				return len(c)
			}
		}
	}
	lead := 0
	if s[0] == ' ' && len(s) > 1 {
		lead = 1
	}
	first, _ := utf8.DecodeRuneInString(s[lead:])
	if class := classOf(first); class != space {
		return lead + runLen(s[lead:], class)
	}
	// White space stays together, but the last one before a word is left to that word.
	n := runLen(s, space)
	if n < len(s) {
		if _, last := utf8.DecodeLastRuneInString(s[:n]); last < n {
			n -= last
		}
	}
	return n
}

var contractions = []string{"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}

type runeClass int

const (
	space runeClass = iota
	letter
	number
	other
)

func classOf(r rune) runeClass {
	switch {
	case unicode.IsSpace(r):
		return space
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	}
	return other
}

// runLen is the length in bytes of the run of class at the start of s.
func runLen(s string, class runeClass) int {
	for i, r := range s {
		if classOf(r) != class {
			return i
		}
	}
	return len(s)
}
