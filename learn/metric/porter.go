package metric

import "strings"

// Porter's algorithm ("An algorithm for suffix stripping", Program 14(3), 1980) with the departures that NLTK makes in
// its default mode, NLTK_EXTENSIONS: irregular forms, "ies" and "ied" in four-letter words, the y -> i condition, the
// order of "alli", and the rules "bli", "fulli" and "logi". rouge_score's numbers depend on each of them.

// irregular forms bypass the rules.
var irregular = map[string]string{
	"sky": "sky", "skies": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
	"innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing",
	"cannings": "canning", "canning": "canning", "howe": "howe",
	"proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}

// suffixRule replaces suffix by with if the rest of the word satisfies when. The first rule whose suffix fits decides,
// even if its condition then fails.
type suffixRule struct {
	suffix, with string
	when         func(stem string) bool
}

var (
	step1aRules = []suffixRule{{"sses", "ss", always}, {"ies", "i", always}, {"ss", "ss", always}, {"s", "", always}}

	step2Rules = []suffixRule{
		{"ational", "ate", measured}, {"tional", "tion", measured}, {"enci", "ence", measured}, {"anci", "ance", measured},
		{"izer", "ize", measured}, {"bli", "ble", measured}, {"alli", "al", measured}, {"entli", "ent", measured},
		{"eli", "e", measured}, {"ousli", "ous", measured}, {"ization", "ize", measured}, {"ation", "ate", measured},
		{"ator", "ate", measured}, {"alism", "al", measured}, {"iveness", "ive", measured}, {"fulness", "ful", measured},
		{"ousness", "ous", measured}, {"aliti", "al", measured}, {"iviti", "ive", measured}, {"biliti", "ble", measured},
		{"fulli", "ful", measured},
		// The l belongs to the stem here, so that "geology" goes the way of "archaeology".
		{"logi", "log", func(stem string) bool { return measured(stem + "l") }},
	}

	step3Rules = []suffixRule{
		{"icate", "ic", measured}, {"ative", "", measured}, {"alize", "al", measured}, {"iciti", "ic", measured},
		{"ical", "ic", measured}, {"ful", "", measured}, {"ness", "", measured},
	}

	step4Rules = []suffixRule{
		{"al", "", long}, {"ance", "", long}, {"ence", "", long}, {"er", "", long}, {"ic", "", long}, {"able", "", long},
		{"ible", "", long}, {"ant", "", long}, {"ement", "", long}, {"ment", "", long}, {"ent", "", long},
		{"ion", "", func(stem string) bool {
			return long(stem) && (strings.HasSuffix(stem, "s") || strings.HasSuffix(stem, "t"))
		}},
		{"ou", "", long}, {"ism", "", long}, {"ate", "", long}, {"iti", "", long}, {"ous", "", long}, {"ive", "", long},
		{"ize", "", long},
	}
)

func always(string) bool        { return true }
func measured(stem string) bool { return measure(stem) > 0 }
func long(stem string) bool     { return measure(stem) > 1 }

// porterStem reduces a lower-case ASCII word to its stem.
func porterStem(word string) string {
	if stem, ok := irregular[word]; ok {
		return stem
	}
	if len(word) <= 2 {
		return word
	}
	word = step1a(word)
	word = step1b(word)
	word = step1c(word)
	word = step2(word)
	word = apply(word, step3Rules)
	word = apply(word, step4Rules)
	word = step5a(word)
	return step5b(word)
}

func apply(word string, rules []suffixRule) string {
	for _, rule := range rules {
		if stem, ok := strings.CutSuffix(word, rule.suffix); ok {
			if rule.when(stem) {
				return stem + rule.with
			}
			return word
		}
	}
	return word
}

func step1a(word string) string {
	if len(word) == 4 && strings.HasSuffix(word, "ies") {
		return word[:3]
	}
	return apply(word, step1aRules)
}

func step1b(word string) string {
	if stem, ok := strings.CutSuffix(word, "ied"); ok {
		if len(word) == 4 {
			return stem + "ie"
		}
		return stem + "i"
	}
	if stem, ok := strings.CutSuffix(word, "eed"); ok {
		if measured(stem) {
			return stem + "ee"
		}
		return word
	}
	stem, ok := strings.CutSuffix(word, "ed")
	if !ok || !hasVowel(stem) {
		stem, ok = strings.CutSuffix(word, "ing")
		if !ok || !hasVowel(stem) {
			return word
		}
	}
	last := stem[len(stem)-1]
	switch {
	case strings.HasSuffix(stem, "at"), strings.HasSuffix(stem, "bl"), strings.HasSuffix(stem, "iz"):
		return stem + "e"
	case endsDoubleConsonant(stem):
		if last == 'l' || last == 's' || last == 'z' {
			return stem
		}
		return stem[:len(stem)-1]
	case measure(stem) == 1 && endsCVC(stem):
		return stem + "e"
	}
	return stem
}

func step1c(word string) string {
	if stem, ok := strings.CutSuffix(word, "y"); ok && len(stem) > 1 && isConsonant(stem, len(stem)-1) {
		return stem + "i"
	}
	return word
}

func step2(word string) string {
	if stem, ok := strings.CutSuffix(word, "alli"); ok && measured(stem) {
		return step2(stem + "al")
	}
	return apply(word, step2Rules)
}

func step5a(word string) string {
	stem, ok := strings.CutSuffix(word, "e")
	if ok && (long(stem) || measured(stem) && !endsCVC(stem)) {
		return stem
	}
	return word
}

func step5b(word string) string {
	if strings.HasSuffix(word, "ll") && long(word[:len(word)-1]) {
		return word[:len(word)-1]
	}
	return word
}

// isConsonant tells whether word[i] is one; y is a consonant at the start and after a vowel.
func isConsonant(word string, i int) bool {
	switch word[i] {
	case 'a', 'e', 'i', 'o', 'u':
		return false
	case 'y':
		// Walk to the first y of the run: along it consonants and vowels alternate.
		start := i
		for start > 0 && word[start-1] == 'y' {
			start--
		}
		first := start == 0 || !isConsonant(word, start-1)
		return first == ((i-start)%2 == 0)
	}
	return true
}

// measure is Porter's m: how many times a vowel is followed by a consonant.
func measure(stem string) int {
	m := 0
	vowel := false
	for i := range len(stem) {
		consonant := isConsonant(stem, i)
		if consonant && vowel {
			m++
		}
		vowel = !consonant
	}
	return m
}

func hasVowel(stem string) bool {
	for i := range len(stem) {
		if !isConsonant(stem, i) {
			return true
		}
	}
	return false
}

func endsDoubleConsonant(word string) bool {
	n := len(word)
	return n >= 2 && word[n-1] == word[n-2] && isConsonant(word, n-1)
}

// endsCVC is Porter's *o; NLTK adds the two-letter word of vowel and consonant.
func endsCVC(word string) bool {
	n := len(word)
	if n == 2 {
		return !isConsonant(word, 0) && isConsonant(word, 1)
	}
	return n >= 3 && isConsonant(word, n-3) && !isConsonant(word, n-2) && isConsonant(word, n-1) &&
		!strings.ContainsRune("wxy", rune(word[n-1]))
}
