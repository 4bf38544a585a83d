package metric

import "unicode"

// stemFrom is the shortest token that rouge_score stems: it leaves tokens of three characters and fewer alone.
const stemFrom = 4

// Sees tells whether all letters and digits of text count for Rouge, as rouge_score computes it: it keeps those of ASCII. An answer
// equal to a text in another script, of which nothing counts, scores 0; exact match sees every letter.
func Sees(text string) bool {
	for _, r := range text {
		if r > unicode.MaxASCII && r != kelvinSign && r != dottedI && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			return false
		}
	}
	return true
}

// Characters beyond ASCII that Python's lower case brings into it.
const (
	kelvinSign = '\u212a'
	dottedI    = '\u0130'
)

// tokenize lower-cases text and splits it into runs of a-z and 0-9.
//
// rouge_score lower-cases with Python's full case mapping before it drops everything outside a-z0-9. Besides A-Z just
// two characters map into that range: KELVIN SIGN (to "k") and capital I with dot above (to "i" and a combining dot,
// which then separates). Knowing them makes a table of Unicode case mappings needless.
func tokenize(text string, stem bool) []string {
	var tokens []string
	word := make([]byte, 0, 16)
	flush := func() {
		if len(word) == 0 {
			return
		}
		token := string(word)
		if stem && len(token) >= stemFrom {
			token = porterStem(token)
		}
		tokens = append(tokens, token)
		word = word[:0]
	}
	for _, r := range text {
		switch {
		case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			word = append(word, byte(r))
		case 'A' <= r && r <= 'Z':
			word = append(word, byte(r-'A'+'a'))
		case r == kelvinSign:
			word = append(word, 'k')
		case r == dottedI:
			word = append(word, 'i')
			flush()
		default:
			flush()
		}
	}
	flush()
	return tokens
}
