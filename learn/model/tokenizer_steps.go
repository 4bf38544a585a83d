package model

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// sentencePiece is what a tokenizer of SentencePiece's kind does before encoding and after decoding, each step a component of
// tokenizer.json.
type sentencePiece struct {
	before []component // Prepend and Replace
	after  []component // Replace, ByteFallback, Fuse and Strip
}

// component is a normalizer, pre-tokenizer, post-processor or decoder of tokenizer.json, as far as one is supported.
type component struct {
	Type string `json:"type"`

	// of ByteLevel
	AddPrefixSpace *bool `json:"add_prefix_space,omitempty"`
	TrimOffsets    *bool `json:"trim_offsets,omitempty"`
	UseRegex       *bool `json:"use_regex,omitempty"`

	// of Sequence
	Normalizers   []component `json:"normalizers,omitempty"`
	PreTokenizers []component `json:"pretokenizers,omitempty"`
	Decoders      []component `json:"decoders,omitempty"`

	Prepend string   `json:"prepend,omitempty"` // of Prepend
	Pattern *pattern `json:"pattern,omitempty"` // of Replace
	Content *string  `json:"content,omitempty"` // of Replace and Strip
	Start   *int     `json:"start,omitempty"`   // of Strip: most characters to take off in front, and at the end
	Stop    *int     `json:"stop,omitempty"`

	// of TemplateProcessing
	Single        []templatePart             `json:"single,omitempty"`
	Pair          []templatePart             `json:"pair,omitempty"` // not used here
	SpecialTokens map[string]templateSpecial `json:"special_tokens,omitempty"`
}

// pattern is what Replace looks for.
type pattern struct {
	String *string `json:"String,omitempty"`
	Regex  *string `json:"Regex,omitempty"`
}

// String names a component in errors, with those that a Sequence has.
func (c *component) String() string {
	if c == nil {
		return "null"
	}
	var inner []string
	for _, list := range [][]component{c.Normalizers, c.PreTokenizers, c.Decoders} {
		for i := range list {
			inner = append(inner, list[i].String())
		}
	}
	if inner == nil {
		return c.Type
	}
	return c.Type + "(" + strings.Join(inner, ", ") + ")"
}

// list gives the steps of a component that may be null, one step, or a Sequence of them, all of the types allowed.
func (c *component) list(what string, allowed ...string) ([]component, error) {
	if c == nil {
		return nil, nil
	}
	steps := []component{*c}
	if c.Type == "Sequence" {
		steps = append(append([]component(nil), c.Normalizers...), c.Decoders...)
	}
	growth := 1
	for _, s := range steps {
		if err := s.checkStep(allowed); err != nil {
			return nil, fmt.Errorf("%s %v: %w", what, c, err)
		}
		if s.Type == "Replace" {
			growth *= max(1, (len(*s.Content)+len(*s.Pattern.String)-1)/len(*s.Pattern.String))
		}
		if growth > maxGrowth || len(steps) > maxSteps || len(s.Prepend) > maxPrepend {
			return nil, fmt.Errorf("%s %v: text would grow without measure", what, c)
		}
	}
	return steps, nil
}

// Limits of the steps of a file from outside: Replace after Replace could make gigabytes of a word.
const (
	maxGrowth  = 64 // of a text
	maxSteps   = 16
	maxPrepend = 64
)

func (c *component) checkStep(allowed []string) error {
	known := false
	for _, name := range allowed {
		known = known || c.Type == name
	}
	switch {
	case !known:
		return fmt.Errorf("%s is not supported; supported: %s", c.Type, strings.Join(allowed, ", "))
	case c.Type == "Replace" && (c.Pattern == nil || c.Pattern.String == nil || *c.Pattern.String == "" || c.Content == nil):
		return fmt.Errorf("a Replace needs a pattern that is a string, and a content")
	case c.Type == "Strip" && (c.Content == nil || utf8.RuneCountInString(*c.Content) != 1 || c.Start == nil || c.Stop == nil || *c.Start < 0 || *c.Stop < 0):
		return fmt.Errorf("a Strip needs a content of one character, start and stop")
	}
	return nil
}

// normalise prepares text for encoding.
func (p *sentencePiece) normalise(s string) string {
	for _, step := range p.before {
		switch step.Type {
		case "Prepend":
			if s != "" {
				s = step.Prepend + s
			}
		case "Replace":
			s = strings.ReplaceAll(s, *step.Pattern.String, *step.Content)
		}
	}
	return s
}

// text makes text of tokens.
func (p *sentencePiece) text(tokens []string) string {
	for _, step := range p.after {
		switch step.Type {
		case "Replace":
			for i, s := range tokens {
				tokens[i] = strings.ReplaceAll(s, *step.Pattern.String, *step.Content)
			}
		case "ByteFallback":
			tokens = joinBytes(tokens)
		case "Fuse":
			tokens = []string{strings.Join(tokens, "")}
		case "Strip":
			for i, s := range tokens {
				tokens[i] = strip(s, *step.Content, *step.Start, *step.Stop)
			}
		}
	}
	return strings.Join(tokens, "")
}

// strip takes at most start times c off the front of s, and at most stop times off its end.
func strip(s, c string, start, stop int) string {
	for ; start > 0 && strings.HasPrefix(s, c); start-- {
		s = s[len(c):]
	}
	for ; stop > 0 && strings.HasSuffix(s, c); stop-- {
		s = s[:len(s)-len(c)]
	}
	return s
}

func byteToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// byteOf is byteToken's inverse.
func byteOf(token string) (byte, bool) {
	if len(token) != 6 || token[:3] != "<0x" || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

// joinBytes makes text of runs of byte tokens. As in HuggingFace's tokenizers, a run that is not UTF-8 as a whole becomes one
// U+FFFD for each of its bytes.
func joinBytes(tokens []string) []string {
	var out []string
	var run []byte
	flush := func() {
		switch {
		case len(run) == 0:
		case utf8.Valid(run):
			out = append(out, string(run))
		default:
			out = append(out, strings.Repeat("\ufffd", len(run)))
		}
		run = run[:0]
	}
	for _, token := range tokens {
		if b, ok := byteOf(token); ok {
			run = append(run, b)
			continue
		}
		flush()
		out = append(out, token)
	}
	flush()
	return out
}
