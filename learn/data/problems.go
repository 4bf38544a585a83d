package data

import (
	"fmt"
	"strings"
)

// maxProblems is how many problems of a data set are told at once: enough to see a pattern, few enough to read.
const maxProblems = 10

// problems collects what is wrong with a data set. It is an error that unwraps to each of them.
type problems []error

func (p *problems) add(err error) {
	if !p.full() {
		*p = append(*p, err)
	}
}

func (p problems) full() bool { return len(p) >= maxProblems }

// err is nil if nothing is wrong, and a single problem by itself.
func (p problems) err() error {
	switch len(p) {
	case 0:
		return nil
	case 1:
		return p[0]
	}
	return p
}

func (p problems) Error() string {
	var b strings.Builder
	if p.full() {
		fmt.Fprintf(&b, "the first %d problems:", len(p))
	} else {
		fmt.Fprintf(&b, "%d problems:", len(p))
	}
	for _, err := range p {
		b.WriteString("\n  ")
		b.WriteString(err.Error())
	}
	return b.String()
}

func (p problems) Unwrap() []error { return p }
