package data

import (
	"hash/fnv"
	"math"
	"strings"
	"unicode"
)

// textFeatures is the length of a text's vector.
const textFeatures = 256

// hashText is the text's words and pairs of neighbouring words, hashed into 256 signed counts (feature hashing,
// Weinberger et al. 2009: the sign keeps collisions from adding up) and scaled to length 1.
func hashText(text string) []float64 {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	vector := make([]float64, textFeatures)
	count := func(token string) {
		h := fnv.New64a()
		h.Write([]byte(token))
		sum := h.Sum64()
		// FNV's low bits are weak for short tokens; the high ones depend on every byte.
		bucket := (sum >> 32) % textFeatures
		if sum>>63 == 0 {
			vector[bucket]++
		} else {
			vector[bucket]--
		}
	}
	for i, word := range words {
		count(word)
		if i > 0 {
			count(words[i-1] + " " + word)
		}
	}
	square := 0.0
	for _, v := range vector {
		square += v * v
	}
	if square > 0 {
		for i := range vector {
			vector[i] /= math.Sqrt(square)
		}
	}
	return vector
}
