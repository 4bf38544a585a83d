package model

import "unicode/utf8"

// merger joins the symbols of one piece of text. It takes the pair that was learned first, the leftmost of equals, joins it, and
// looks again: in that order HuggingFace's tokenizers do it, which matters where a join makes a pair that was learned earlier.
// The time is n log n, because a whole text may be one piece. A merger is reused from piece to piece.
type merger struct {
	symbols []symbol
	queue   []uint64 // a heap of rank and position, the smallest first
}

// symbol is an id between its neighbours; -1 where there is none.
type symbol struct{ id, prev, next int }

// gone marks a symbol that was joined into the one before it.
const gone = -1

func (m *merger) reset() { m.symbols, m.queue = m.symbols[:0], m.queue[:0] }

func (m *merger) add(id int) {
	n := len(m.symbols)
	m.symbols = append(m.symbols, symbol{id, n - 1, n + 1})
}

// join appends the ids of what is left to ids.
func (m *merger) join(ids []int, t *Tokenizer) []int {
	if len(m.symbols) == 0 {
		return ids
	}
	m.symbols[len(m.symbols)-1].next = -1
	for i := range m.symbols {
		m.consider(i, t)
	}
	for len(m.queue) > 0 {
		rank, at := m.pop()
		s := &m.symbols[at]
		if s.id == gone || s.next < 0 {
			continue
		}
		next := &m.symbols[s.next]
		j, ok := t.joins[[2]int{s.id, next.id}]
		if !ok || j.rank != rank { // a neighbour has changed since
			continue
		}
		s.id, next.id = j.id, gone
		s.next = next.next
		if s.next >= 0 {
			m.symbols[s.next].prev = at
		}
		if s.prev >= 0 {
			m.consider(s.prev, t)
		}
		m.consider(at, t)
	}
	for i := 0; i >= 0; i = m.symbols[i].next {
		ids = append(ids, m.symbols[i].id)
	}
	return ids
}

// consider puts the pair that begins at a symbol into the queue, if it can be joined.
func (m *merger) consider(at int, t *Tokenizer) {
	s := m.symbols[at]
	if s.next < 0 {
		return
	}
	if j, ok := t.joins[[2]int{s.id, m.symbols[s.next].id}]; ok {
		m.push(uint64(j.rank)<<32 | uint64(at))
	}
}

func (m *merger) push(key uint64) {
	m.queue = append(m.queue, key)
	for i := len(m.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if m.queue[parent] <= key {
			break
		}
		m.queue[i], m.queue[parent] = m.queue[parent], key
		i = parent
	}
}

func (m *merger) pop() (rank, at int) {
	top, last := m.queue[0], len(m.queue)-1
	m.queue[0] = m.queue[last]
	m.queue = m.queue[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < last; child++ {
			if m.queue[child] < m.queue[least] {
				least = child
			}
		}
		if least == i {
			return int(top >> 32), int(top & (1<<32 - 1))
		}
		m.queue[i], m.queue[least] = m.queue[least], m.queue[i]
		i = least
	}
}

// runeLen is the length in bytes of the first character of s, 1 if it is not UTF-8.
func runeLen(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}
