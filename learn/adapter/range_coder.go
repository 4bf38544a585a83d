package adapter

// A range coder (Martin, 1979; carries as in LZMA): bits cost what their probability says, in integers alone. The coder of a blob writes a
// byte for every 8 bits by which the range shrinks and 5 at the end; the decoder has then read just as many.

// chance is the probability that a bit is 0, in 1/65536, and follows the bits.
type chance uint32

const (
	chanceBits  = 16
	chanceLeast = 1 << 5 // keeps both bits possible
	chanceSpeed = 5      // a bit moves a chance by 1/32 of the way
	rangeLeast  = 1 << 24
)

func (c chance) clamp() chance { return max(chanceLeast, min(1<<chanceBits-chanceLeast, c)) }

// after is the chance once a bit was seen.
func (c chance) after(bit bool) chance {
	if bit {
		return (c - c>>chanceSpeed).clamp()
	}
	return (c + (1<<chanceBits-c)>>chanceSpeed).clamp()
}

// rangeEncoder appends coded bits to out.
type rangeEncoder struct {
	out     []byte
	low     uint64
	width   uint32
	cache   byte // the last byte, which a carry may still change
	pending int  // how many bytes wait for that: cache, and 0xff after it
}

func newRangeEncoder(out []byte) *rangeEncoder {
	return &rangeEncoder{out: out, width: 1<<32 - 1, pending: 1}
}

// bit codes a bit by its chance, and lets that follow.
func (e *rangeEncoder) bit(b bool, c *chance) {
	e.split(b, e.width>>chanceBits*uint32(*c))
	*c = c.after(b)
}

// even codes a bit that is as likely 0 as 1.
func (e *rangeEncoder) even(b bool) { e.split(b, e.width>>1) }

func (e *rangeEncoder) split(b bool, zero uint32) {
	if b {
		e.low += uint64(zero)
		e.width -= zero
	} else {
		e.width = zero
	}
	for e.width < rangeLeast {
		e.width <<= 8
		e.shift()
	}
}

func (e *rangeEncoder) shift() {
	if carry := byte(e.low >> 32); uint32(e.low) < 0xff<<24 || carry != 0 {
		for ; e.pending > 0; e.pending-- {
			e.out = append(e.out, e.cache+carry)
			e.cache = 0xff
		}
		e.cache = byte(e.low >> 24)
	}
	e.pending++
	e.low = e.low & (1<<24 - 1) << 8
}

// finish gives out with all bits in it.
func (e *rangeEncoder) finish() []byte {
	for range 5 {
		e.shift()
	}
	return e.out
}

// rangeDecoder reads what a rangeEncoder wrote; beyond the end it reads zeros, and is short.
type rangeDecoder struct {
	rest  []byte
	code  uint32
	width uint32
	short bool
}

func newRangeDecoder(coded []byte) *rangeDecoder {
	d := &rangeDecoder{rest: coded, width: 1<<32 - 1}
	for range 5 {
		d.shift()
	}
	return d
}

func (d *rangeDecoder) shift() {
	var b byte
	if len(d.rest) > 0 {
		b, d.rest = d.rest[0], d.rest[1:]
	} else {
		d.short = true
	}
	d.code = d.code<<8 | uint32(b)
}

func (d *rangeDecoder) bit(c *chance) bool {
	b := d.split(d.width >> chanceBits * uint32(*c))
	*c = c.after(b)
	return b
}

func (d *rangeDecoder) even() bool { return d.split(d.width >> 1) }

func (d *rangeDecoder) split(zero uint32) (b bool) {
	if b = d.code >= zero; b {
		d.code -= zero
		d.width -= zero
	} else {
		d.width = zero
	}
	for d.width < rangeLeast {
		d.width <<= 8
		d.shift()
	}
	return b
}
