package metric

import "testing"

// The examples of Porter's paper and of NLTK's departures from it, step by step.
func TestPorterStem(t *testing.T) {
	cases := []struct{ step, word, stem string }{
		{"irregular", "skies", "sky"}, {"irregular", "dying", "die"}, {"irregular", "innings", "inning"}, {"irregular", "proceed", "proceed"},
		{"short", "is", "is"},
		{"1a", "caresses", "caress"}, {"1a", "ponies", "poni"}, {"1a", "cats", "cat"}, {"1a, NLTK", "dies", "die"},
		{"1b", "agreed", "agre"}, {"1b", "feed", "feed"}, {"1b", "plastered", "plaster"}, {"1b", "bled", "bled"},
		{"1b", "motoring", "motor"}, {"1b", "sing", "sing"}, {"1b", "conflated", "conflat"}, {"1b", "hopping", "hop"},
		{"1b", "falling", "fall"}, {"1b", "hissing", "hiss"}, {"1b", "failing", "fail"}, {"1b", "filing", "file"},
		{"1b, NLTK", "died", "die"}, {"1b, NLTK", "spied", "spi"},
		{"1c", "happy", "happi"}, {"1c, NLTK", "enjoy", "enjoy"}, {"1c, NLTK", "by", "by"}, {"y run", "sayyyy", "sayyyi"},
		{"2", "relational", "relat"}, {"2", "digitizer", "digit"}, {"2, NLTK", "fundamentally", "fundament"},
		{"2, NLTK", "hopefully", "hope"}, {"2, NLTK", "geology", "geolog"}, {"2, NLTK", "knightly", "knightli"},
		{"3", "triplicate", "triplic"}, {"3", "hopefulness", "hope"},
		{"4", "revival", "reviv"}, {"4", "adoption", "adopt"}, {"4", "effective", "effect"},
		{"5", "probate", "probat"}, {"5", "rate", "rate"}, {"5", "controlling", "control"}, {"5", "roll", "roll"},
	}
	for _, c := range cases {
		if got := porterStem(c.word); got != c.stem {
			t.Errorf("step %s: %q gives %q, want %q", c.step, c.word, got, c.stem)
		}
	}
}

func FuzzPorterStem(f *testing.F) {
	for _, word := range []string{"yyyying", "alli", "eed", "ions", "logi", "sses", "0ing"} {
		f.Add(word)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if len(word) > 1000 {
			t.Skip("measure is quadratic in runs of y")
		}
		if stem := porterStem(word); len(stem) > len(word)+1 || len(stem) == 0 && len(word) > 0 && word != "s" {
			t.Errorf("%q gives %q", word, stem)
		}
	})
}
