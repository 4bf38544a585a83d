package metric

import (
	"slices"
	"strings"
)

// Score is precision (over the candidate), recall (over the reference) and their harmonic mean F of one Rouge type,
// each in [0, 1] and 0 where undefined.
type Score struct{ Precision, Recall, F float64 }

// Rouge is all four types.
type Rouge struct{ R1, R2, L, Lsum Score }

// Compute scores candidate against reference. With stem, tokens longer than three characters are reduced by NLTK's
// Porter stemmer first (rouge_score's use_stemmer). Lsum takes each line (split at "\n") as a sentence.
func Compute(candidate, reference string, stem bool) Rouge {
	cand, ref := tokenize(candidate, stem), tokenize(reference, stem)
	return Rouge{
		R1:   ngramScore(cand, ref, 1),
		R2:   ngramScore(cand, ref, 2),
		L:    lcsScore(cand, ref),
		Lsum: lsumScore(lines(candidate, stem), lines(reference, stem)),
	}
}

// Best is rouge_score's score_multi: per type, the score against the reference with the highest F, the first of equals.
// Without references it is the zero Rouge.
func Best(candidate string, references []string, stem bool) Rouge {
	var best Rouge
	for i, reference := range references {
		r := Compute(candidate, reference, stem)
		if i == 0 {
			best = r
			continue
		}
		best.R1 = better(best.R1, r.R1)
		best.R2 = better(best.R2, r.R2)
		best.L = better(best.L, r.L)
		best.Lsum = better(best.Lsum, r.Lsum)
	}
	return best
}

func better(best, s Score) Score {
	if s.F > best.F {
		return s
	}
	return best
}

// ratio turns hits among cand candidate and ref reference units into a Score.
func ratio(hits, cand, ref int) Score {
	s := Score{
		Precision: float64(hits) / float64(max(cand, 1)),
		Recall:    float64(hits) / float64(max(ref, 1)),
	}
	if s.Precision+s.Recall > 0 {
		s.F = 2 * s.Precision * s.Recall / (s.Precision + s.Recall)
	}
	return s
}

// ngramScore counts shared n-grams, each clipped to its count in the other text.
func ngramScore(cand, ref []string, n int) Score {
	counts := make(map[string]int)
	total := 0
	for i := 0; i+n <= len(ref); i++ {
		counts[strings.Join(ref[i:i+n], " ")]++
		total++
	}
	hits, made := 0, 0
	for i := 0; i+n <= len(cand); i++ {
		gram := strings.Join(cand[i:i+n], " ")
		if counts[gram] > 0 {
			counts[gram]--
			hits++
		}
		made++
	}
	return ratio(hits, made, total)
}

func lcsScore(cand, ref []string) Score {
	if len(cand) == 0 || len(ref) == 0 {
		return Score{}
	}
	return ratio(lcsLength(ref, cand), len(cand), len(ref))
}

// lcsLength is the length of the longest common subsequence, in two rows of the table.
func lcsLength[T comparable](a, b []T) int {
	above, row := make([]int32, len(b)+1), make([]int32, len(b)+1)
	for _, x := range a {
		for j, y := range b {
			if x == y {
				row[j+1] = above[j] + 1
			} else {
				row[j+1] = max(above[j+1], row[j])
			}
		}
		above, row = row, above
	}
	return int(above[len(b)])
}

// lines tokenises each non-empty line.
func lines(text string, stem bool) [][]string {
	var out [][]string
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			out = append(out, tokenize(line, stem))
		}
	}
	return out
}

// lsumScore is summary-level LCS (Lin 2004, section 3.2): for each reference line the union of its LCS with every
// candidate line, where a token counts at most as often as it stands in either text.
func lsumScore(cand, ref [][]string) Score {
	left := func(text [][]string) (map[string]int, int) {
		counts, total := make(map[string]int), 0
		for _, line := range text {
			for _, token := range line {
				counts[token]++
			}
			total += len(line)
		}
		return counts, total
	}
	inCand, n := left(cand)
	inRef, m := left(ref)
	if n == 0 || m == 0 {
		return Score{}
	}
	hits := 0
	for _, line := range ref {
		for _, i := range unionLCS(line, cand) {
			token := line[i]
			if inCand[token] > 0 && inRef[token] > 0 {
				hits++
				inCand[token]--
				inRef[token]--
			}
		}
	}
	return ratio(hits, n, m)
}

// unionLCS is the ascending positions in ref that belong to its LCS with at least one of the candidate's lines.
func unionLCS(ref []string, cand [][]string) []int {
	in := make([]bool, len(ref))
	for _, line := range cand {
		for _, i := range lcsPositions(ref, line) {
			in[i] = true
		}
	}
	var union []int
	for i, yes := range in {
		if yes {
			union = append(union, i)
		}
	}
	return union
}

// lcsPositions is one LCS as ascending positions in ref. Of several equally long ones it takes rouge_score's: walking
// back from the end it steps to the left only if that is strictly better, which decides what a union holds.
func lcsPositions(ref, cand []string) []int {
	width := len(cand) + 1
	table := make([]int32, (len(ref)+1)*width)
	for i, x := range ref {
		for j, y := range cand {
			at := (i+1)*width + j + 1
			if x == y {
				table[at] = table[at-width-1] + 1
			} else {
				table[at] = max(table[at-width], table[at-1])
			}
		}
	}
	var positions []int
	for i, j := len(ref), len(cand); i > 0 && j > 0; {
		switch {
		case ref[i-1] == cand[j-1]:
			positions = append(positions, i-1)
			i, j = i-1, j-1
		case table[i*width+j-1] > table[(i-1)*width+j]:
			j--
		default:
			i--
		}
	}
	slices.Reverse(positions)
	return positions
}
