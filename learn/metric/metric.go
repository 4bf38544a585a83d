// Package metric scores generated text: Rouge exactly as Google's rouge_score computes it, and exact match.
package metric

// Score is precision, recall and F of one Rouge type.
type Score struct{ Precision, Recall, F float64 }

// Rouge is all four types.
type Rouge struct{ R1, R2, L, Lsum Score }

// Compute scores candidate against reference; stem uses NLTK's Porter stemmer.
func Compute(candidate, reference string, stem bool) Rouge { panic("stub") }

// Best is rouge_score's score_multi: per type, the reference with the highest F.
func Best(candidate string, references []string, stem bool) Rouge { panic("stub") }

// ExactMatch compares lower-cased text with white space folded.
func ExactMatch(candidate, reference string) bool { panic("stub") }

// BestConstant is the one of the training targets with the highest mean Rouge-LSum F over the training targets.
func BestConstant(train []string) string { panic("stub") }
