package op

// Sequences divides the leading rows of a matrix of positions into sequences, one after another. Rows beyond the last one
// mean nothing and are not computed: a graph that was built for long sequences costs short ones no more than they need.
type Sequences struct {
	Lengths []int // rewritten between runs; 0 is a sequence without positions
}

// Total counts the positions of all sequences.
func (s *Sequences) Total() int {
	n := 0
	for _, l := range s.Lengths {
		n += l
	}
	return n
}

// even makes s the division of n rows into sequences of the given length.
func (s *Sequences) even(n, steps int) *Sequences {
	if len(s.Lengths) != n/steps || n > 0 && s.Lengths[0] != steps {
		s.Lengths = make([]int, n/steps)
		for i := range s.Lengths {
			s.Lengths[i] = steps
		}
	}
	return s
}
