// Package metric scores generated text against targets: Rouge-1, -2, -L and -Lsum exactly as Google's rouge_score
// package computes them, exact match, and the best constant answer that every model has to beat.
//
// The parts:
//
//   - rouge.go: the four scores (Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries") with the choices
//     of rouge_score: clipped n-gram counts, LCS by dynamic programming, and for Lsum the union LCS of each reference line;
//   - tokenize.go: the ASCII tokeniser that all of them share;
//   - porter.go: Porter's stemmer in the mode that NLTK uses by default, since that is what rouge_score stems with;
//   - answer.go: exact match and the best constant answer.
//
// Scores are ratios of small integers in float64 and agree with the reference to the last bit or two. All functions are
// pure and deterministic. Time and memory grow with the product of the two token counts: callers bound the text's length
// (package data bounds targets when it opens a data set).
//
// The package imports nothing beyond the standard library.
package metric
