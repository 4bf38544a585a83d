package chaos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Script is a scenario: what testnet to make, and what to do to it.
type Script struct {
	Name  string
	Setup Setup
	Steps []Step
}

// Step is one line of a script, or a repeat with the lines in it.
type Step struct {
	Line  int
	Verb  string
	Label string // of an expectation, in the script's own words; may be empty
	Args  []string
	Keys  map[string]string // KEY=VALUE
	Count int               // of a repeat
	Body  []Step            // of a repeat
}

// Limits of a script.
const (
	maxScript  = 64 << 10 // bytes
	maxSteps   = 1000     // lines that do something
	maxNesting = 4        // repeats within each other
	maxRepeat  = 10000
)

// Parse reads a script. name is used in errors, which name the line.
func Parse(name, text string) (*Script, error) {
	if len(text) > maxScript {
		return nil, fmt.Errorf("%s: a script of %d bytes is too long; at most %d are read", name, len(text), maxScript)
	}
	p := parser{script: &Script{Name: name, Setup: defaultSetup()}}
	p.blocks = []*[]Step{&p.script.Steps}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(i+1, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
	}
	if len(p.blocks) > 1 {
		return nil, fmt.Errorf("%s:%d: this repeat has no end", name, p.opened[len(p.opened)-1])
	}
	if len(p.script.Steps) == 0 {
		return nil, fmt.Errorf("%s: the script does nothing; its words are: %s", name, strings.Join(verbNames(), ", "))
	}
	return p.script, nil
}

// parser holds the blocks that are open: the script itself, and repeats in it.
type parser struct {
	script *Script
	blocks []*[]Step
	opened []int // lines of the repeats
	steps  int
}

func (p *parser) line(n int, text string) error {
	words, err := split(text)
	if err != nil || len(words) == 0 {
		return err
	}
	if p.steps++; p.steps > maxSteps {
		return fmt.Errorf("a script has at most %d lines", maxSteps)
	}
	name := words[0].text
	if words[0].quoted {
		return fmt.Errorf("a line begins with a word, not with %q", name)
	}
	switch name {
	case "repeat":
		return p.repeat(n, words[1:])
	case "end":
		return p.end(words[1:])
	}
	if set, ok := setupWords[name]; ok {
		if len(p.script.Steps) > 0 || len(p.blocks) > 1 {
			return fmt.Errorf("%s describes the testnet: it must come before what is done to it", name)
		}
		return set(&p.script.Setup, texts(words[1:]))
	}
	s, err := readStep(n, words)
	if err == nil {
		p.add(s)
	}
	return err
}

func (p *parser) add(s Step) {
	block := p.blocks[len(p.blocks)-1]
	*block = append(*block, s)
}

func (p *parser) repeat(n int, words []word) error {
	if len(words) != 1 {
		return fmt.Errorf("want: repeat TIMES, and an end below")
	}
	count, err := strconv.Atoi(words[0].text)
	if err != nil || count < 1 || count > maxRepeat {
		return fmt.Errorf("repeat %q: want a number from 1 to %d", words[0].text, maxRepeat)
	}
	if len(p.blocks) > maxNesting {
		return fmt.Errorf("more than %d repeats within each other", maxNesting)
	}
	p.add(Step{Line: n, Verb: "repeat", Count: count})
	outer := *p.blocks[len(p.blocks)-1]
	p.blocks = append(p.blocks, &outer[len(outer)-1].Body)
	p.opened = append(p.opened, n)
	return nil
}

func (p *parser) end(words []word) error {
	if len(words) > 0 {
		return fmt.Errorf("end takes nothing after it")
	}
	if len(p.blocks) == 1 {
		return fmt.Errorf("there is no repeat that this end could belong to")
	}
	if len(*p.blocks[len(p.blocks)-1]) == 0 {
		return fmt.Errorf("the repeat has nothing in it")
	}
	p.blocks, p.opened = p.blocks[:len(p.blocks)-1], p.opened[:len(p.opened)-1]
	return nil
}

// readStep checks a line against its verb, so that a mistake shows before a testnet is made.
func readStep(n int, words []word) (Step, error) {
	s := Step{Line: n, Verb: words[0].text}
	rest := words[1:]
	if s.Verb == "expect" {
		if len(rest) > 0 && rest[0].quoted {
			s.Label, rest = rest[0].text, rest[1:]
		}
		if len(rest) == 0 {
			return s, fmt.Errorf("expect what? One of: %s", strings.Join(expectations(), ", "))
		}
		s.Verb, rest = "expect "+rest[0].text, rest[1:]
	}
	v, ok := verbs[s.Verb]
	if !ok {
		if what, isExpectation := strings.CutPrefix(s.Verb, "expect "); isExpectation {
			return s, fmt.Errorf("nothing called %q can be expected; there is: %s", what, strings.Join(expectations(), ", "))
		}
		return s, fmt.Errorf("unknown word %q; the words are: %s", s.Verb, strings.Join(verbNames(), ", "))
	}
	for _, w := range rest {
		key, value, keyed := strings.Cut(w.text, "=")
		if !keyed || w.quoted {
			s.Args = append(s.Args, w.text)
			continue
		}
		check, known := v.keys[key]
		if !known {
			return s, fmt.Errorf("%s knows no %s=; want: %s", s.Verb, key, v.usage)
		}
		if _, twice := s.Keys[key]; twice {
			return s, fmt.Errorf("%s= is given twice", key)
		}
		if err := check(value); err != nil {
			return s, fmt.Errorf("%s=%s: %w", key, value, err)
		}
		if s.Keys == nil {
			s.Keys = map[string]string{}
		}
		s.Keys[key] = value
	}
	if len(s.Args) < v.least || len(s.Args) > len(v.args) {
		return s, fmt.Errorf("want: %s", v.usage)
	}
	for i, arg := range s.Args {
		if err := v.args[i](arg); err != nil {
			return s, fmt.Errorf("%s %s: %w", s.Verb, arg, err)
		}
	}
	return s, nil
}

// word is one word of a line; a quoted one may hold spaces.
type word struct {
	text   string
	quoted bool
}

func texts(words []word) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.text
	}
	return list
}

// split cuts a line into words; # begins a comment.
func split(line string) ([]word, error) {
	var words []word
	rest := strings.TrimSpace(line)
	for rest != "" && rest[0] != '#' {
		if rest[0] == '"' {
			text, after, closed := strings.Cut(rest[1:], `"`)
			if !closed {
				return nil, fmt.Errorf("a quote is not closed")
			}
			if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
				return nil, fmt.Errorf("%q holds a character that cannot be printed", text)
			}
			words, rest = append(words, word{text, true}), strings.TrimSpace(after)
			continue
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return unicode.IsSpace(r) || r == '#' || r == '"' })
		if end < 0 {
			end = len(rest)
		}
		words, rest = append(words, word{text: rest[:end]}), strings.TrimSpace(rest[end:])
	}
	return words, nil
}

// verbNames are the words that a script may use, but for those of its setup.
func verbNames() []string {
	names := []string{"repeat", "end", "expect"}
	for name := range verbs {
		if !strings.HasPrefix(name, "expect ") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func expectations() []string {
	var names []string
	for name := range verbs {
		if what, ok := strings.CutPrefix(name, "expect "); ok {
			names = append(names, what)
		}
	}
	slices.Sort(names)
	return names
}
