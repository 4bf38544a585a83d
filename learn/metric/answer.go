package metric

import (
	"cmp"
	"slices"
	"strings"
)

// maxCandidates bounds how many distinct targets BestConstant tries, since each is scored against every other one.
const maxCandidates = 1000

// ExactMatch compares lower-cased text with white space folded.
func ExactMatch(candidate, reference string) bool {
	return fold(candidate) == fold(reference)
}

func fold(text string) string { return strings.Join(strings.Fields(strings.ToLower(text)), " ") }

// BestConstant is the one answer, given whatever the input, with the highest mean Rouge-LSum F (no stemming) over the
// training targets: what a model must beat to have learned anything.
//
// Candidates are the distinct targets and, where all of them have the same number of words and more than one, the
// combination of the most common word at each place, which need not occur itself. Among equals the more frequent target
// wins, then the alphabetically first. With more than 1,000 distinct targets the 1,000 most frequent are candidates.
// Without targets it is "".
func BestConstant(train []string) string {
	count := make(map[string]int)
	for _, target := range train {
		count[target]++
	}
	distinct := make([]string, 0, len(count))
	for target := range count {
		distinct = append(distinct, target)
	}
	slices.SortFunc(distinct, func(a, b string) int {
		return cmp.Or(cmp.Compare(count[b], count[a]), strings.Compare(a, b))
	})
	tokenised := make([][][]string, len(distinct))
	for i, target := range distinct {
		tokenised[i] = lines(target, false)
	}

	candidates := distinct[:min(len(distinct), maxCandidates)]
	if word := wordwise(distinct, count); word != "" && count[word] == 0 {
		candidates = append(slices.Clip(candidates), word)
	}
	best, bestSum := "", -1.0
	for _, candidate := range candidates {
		tokens := lines(candidate, false)
		sum := 0.0
		for i, target := range distinct {
			sum += float64(count[target]) * lsumScore(tokens, tokenised[i]).F
		}
		if sum > bestSum {
			best, bestSum = candidate, sum
		}
	}
	return best
}

// wordwise joins the most common word at each place, the alphabetically first of equals, or is "" if the targets differ
// in their number of words or have only one.
func wordwise(distinct []string, count map[string]int) string {
	var places []map[string]int
	for i, target := range distinct {
		words := strings.Fields(target)
		if i == 0 {
			places = make([]map[string]int, len(words))
			for p := range places {
				places[p] = make(map[string]int)
			}
		}
		if len(words) < 2 || len(words) != len(places) {
			return ""
		}
		for p, word := range words {
			places[p][word] += count[target]
		}
	}
	best := make([]string, len(places))
	for p, words := range places {
		for word, n := range words {
			if have := words[best[p]]; n > have || n == have && word < best[p] {
				best[p] = word
			}
		}
	}
	return strings.Join(best, " ")
}
