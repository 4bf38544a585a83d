package model

import (
	"regexp"
	"slices"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func pieces(s string) []string {
	var out []string
	for s != "" {
		n := pieceLen(s)
		out = append(out, s[:n])
		s = s[n:]
	}
	return out
}

func TestPieces(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"Hello world", []string{"Hello", " world"}},
		{"he's they'll 'tis I'D", []string{"he", "'s", " they", "'ll", " '", "tis", " I", "'", "D"}},
		{"a  b", []string{"a", " ", " b"}},
		{"a \n\tb ", []string{"a", " \n", "\t", "b", " "}},
		{"a   ", []string{"a", "   "}},
		{"x=3.14, y²", []string{"x", "=", "3", ".", "14", ",", " y", "²"}},
		{" ...", []string{" ..."}},
		{"größer 測試", []string{"größer", " 測試"}},
		{"ab\xff\xfecd", []string{"ab", "\xff\xfe", "cd"}},
	} {
		if got := pieces(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// The pattern without its lookahead, which is done by hand below.
var gpt2Pattern = regexp.MustCompile(`^(?:'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^` + white + `\p{L}\p{N}]+|[` + white + `]+)`)

const white = `\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}`

func TestPiecesAreThoseOfThePattern(t *testing.T) {
	allWhite := regexp.MustCompile(`^[` + white + `]+$`)
	char := rapid.OneOf(rapid.SampledFrom([]string{" ", "  ", "\n", "\u00a0", "'", "'s", "'ll", "a", "ß", "7", "½", ".", "\xff", "語"}), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		var s string
		for _, c := range rapid.SliceOf(char).Draw(t, "text") {
			s += c
		}
		for s != "" {
			want := gpt2Pattern.FindString(s)
			if allWhite.MatchString(want) && len(want) < len(s) {
				if _, last := utf8.DecodeLastRuneInString(want); last < len(want) {
					want = want[:len(want)-last]
				}
			}
			if n := pieceLen(s); s[:n] != want {
				t.Fatalf("%q: first piece %q, want %q", s, s[:n], want)
			}
			s = s[len(want):]
		}
	})
}
