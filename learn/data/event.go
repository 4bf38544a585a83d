package data

import (
	"math"
	"math/rand/v2"
)

// share is a word and how often it is said.
type share struct {
	word  string
	share float64
}

// What happens in an average home, and what follows from it.
var (
	motionShares = []share{{"still", 0.28}, {"walking", 0.27}, {"shifting", 0.21}, {"falling", 0.24}}

	postureShares = map[string][]share{
		"still":    {{"upright", 0.30}, {"sitting", 0.35}, {"lying", 0.25}, {"bending", 0.10}},
		"walking":  {{"upright", 0.82}, {"bending", 0.18}},
		"shifting": {{"upright", 0.30}, {"sitting", 0.34}, {"bending", 0.26}, {"lying", 0.10}},
		"falling":  {{"lying", 0.66}, {"sitting", 0.20}, {"bending", 0.14}},
	}

	soundShares = map[string][]share{
		"still":    {{"quiet", 0.45}, {"speech", 0.44}, {"thud", 0.06}, {"steps", 0.05}},
		"walking":  {{"steps", 0.58}, {"quiet", 0.17}, {"speech", 0.20}, {"thud", 0.05}},
		"shifting": {{"quiet", 0.40}, {"speech", 0.24}, {"thud", 0.21}, {"steps", 0.15}},
		"falling":  {{"thud", 0.72}, {"speech", 0.15}, {"quiet", 0.13}},
	}
)

// choose picks a word; weigh may change how often each is said.
func choose(rng *rand.Rand, shares []share, weigh func(word string, share float64) float64) string {
	total := 0.0
	for _, s := range shares {
		total += weigh(s.word, s.share)
	}
	at := rng.Float64() * total
	for _, s := range shares {
		if at -= weigh(s.word, s.share); at < 0 {
			return s.word
		}
	}
	return shares[len(shares)-1].word
}

// eventSeconds is the length of an event; the picture is taken pictureAt, sound is recorded from soundFrom on.
const (
	eventSeconds = 2.0
	pictureAt    = 1.9
	soundFrom    = 0.6
	soundSeconds = 1.0
)

// event is two seconds of someone's life: the three words, and the course of the body that the sensors see parts of.
type event struct {
	home                   *home
	who                    person
	motion, posture, sound string

	before, after pose    // the body's pose until begin and from end on
	begin, end    float64 // s; of a change of posture or a fall, whose end is the impact
	speed         float64 // m/s at the impact
	softness      float64 // s; how long the impact takes to stop the body
	stride        float64 // phase of the gait at 0 s, in steps
	place         vec     // of the body on the floor
	heading       float64 // rad
}

func newEvent(h *home, who person, rng *rand.Rand) *event {
	e := &event{home: h, who: who}
	e.motion = choose(rng, motionShares, func(word string, _ float64) float64 { return h.motions[word] })
	e.posture = choose(rng, postureShares[e.motion], func(_ string, share float64) float64 { return share })
	e.sound = choose(rng, soundShares[e.motion], func(word string, share float64) float64 {
		switch word {
		case "speech":
			return share * h.talk
		case "quiet":
			return share * (0.7 + h.carpet)
		case "steps", "thud":
			return share * (1.25 - 0.6*h.carpet)
		}
		return share
	})
	e.stride = rng.Float64()
	e.heading = between(rng, -math.Pi, math.Pi)
	e.place = vec{x: between(rng, -0.9, 0.9), z: roomMiddle + between(rng, -0.7, 0.5)}

	onBed := e.posture == "lying" && e.motion != "falling" && rng.Float64() < 0.75
	e.after = newPose(e.posture, rng)
	switch e.motion {
	case "falling":
		e.fall(rng)
	case "shifting":
		from := "upright"
		if e.posture == "upright" {
			from = []string{"sitting", "bending"}[rng.IntN(2)]
		} else if e.posture == "lying" {
			from = "sitting"
		}
		e.before = newPose(from, rng)
		e.begin = between(rng, 0.1, 0.7)
		e.end = e.begin + between(rng, 0.7, 1.1)
	default:
		e.before = e.after
	}
	if onBed {
		e.place = vec{x: h.bed.x, y: h.bed.y, z: h.bed.z}
		e.heading = between(rng, -0.2, 0.2)
	}
	return e
}

// fall sets the course of a fall. One in six is caught at the last moment and ends softly.
func (e *event) fall(rng *rand.Rand) {
	e.before = newPose([]string{"upright", "upright", "sitting"}[rng.IntN(3)], rng)
	switch e.posture {
	case "sitting": // on the floor, legs stretched out
		e.after.pelvis, e.after.shank = 0.14, between(rng, 1.1, 1.5)
	case "bending": // on hands and knees
		e.after.pelvis, e.after.shank = 0.45, -math.Pi/2
	}
	duration := between(rng, 0.45, 0.75)
	e.softness = between(rng, 0.03, 0.06) + 0.03*e.home.carpet
	if rng.IntN(6) == 0 {
		duration, e.softness = between(rng, 0.8, 1), between(rng, 0.12, 0.2)
	}
	e.end = between(rng, 0.85, 1.35)
	e.begin = max(e.end-duration, 0.05)
	e.speed = 2 * max(e.before.pelvis-e.after.pelvis, 0.25) * e.who.size / (e.end - e.begin)
}

// pose is a body in its plane of movement: heights in m for a size of 1, angles in rad. The torso leans forward from
// vertical, thigh and shank swing forward from hanging down, the arms hang by their own angle.
type pose struct {
	pelvis, torso, thigh, shank, arm float64
}

func newPose(posture string, rng *rand.Rand) pose {
	switch posture {
	case "sitting":
		return pose{pelvis: between(rng, 0.44, 0.56), torso: between(rng, -0.15, 0.35), thigh: between(rng, 1.3, 1.55),
			shank: between(rng, -0.25, 0.3), arm: between(rng, 0.2, 0.9)}
	case "bending":
		return pose{pelvis: between(rng, 0.78, 0.9), torso: between(rng, 1.05, 1.7), thigh: between(rng, 0, 0.35),
			shank: between(rng, -0.35, 0), arm: between(rng, -0.2, 0.5)}
	case "lying":
		// Head and legs point apart; on the back or on the belly.
		side := math.Pi / 2
		if rng.IntN(2) == 0 {
			side = -side
		}
		return pose{pelvis: between(rng, 0.1, 0.18), torso: side + between(rng, -0.1, 0.1), thigh: -side + between(rng, -0.3, 0.3),
			shank: -side + between(rng, -0.15, 0.15), arm: between(rng, -1, 1)}
	default:
		return pose{pelvis: between(rng, 0.92, 0.97), torso: between(rng, -0.05, 0.12), arm: between(rng, -0.1, 0.3)}
	}
}

// blend is the pose at a share of the way from p to q.
func (p pose) blend(q pose, share float64) pose {
	mix := func(a, b float64) float64 { return a + (b-a)*share }
	return pose{mix(p.pelvis, q.pelvis), mix(p.torso, q.torso), mix(p.thigh, q.thigh), mix(p.shank, q.shank), mix(p.arm, q.arm)}
}

// progress is how far the change from before to after has come at a time, from 0 to 1: with least jerk (Flash and Hogan
// 1985) where it is meant, with steady acceleration in a fall.
func (e *event) progress(t float64) float64 {
	if e.end == 0 {
		return 1
	}
	s := min(max((t-e.begin)/(e.end-e.begin), 0), 1)
	if e.motion == "falling" {
		return s * s
	}
	return s * s * s * (10 + s*(6*s-15))
}

// pose at a time, with the swing of the legs when walking.
func (e *event) pose(t float64) pose {
	p := e.before.blend(e.after, e.progress(t))
	if e.motion == "walking" {
		p.arm += 0.4 * math.Sin(math.Pi*e.steps(t))
	}
	return p
}

// steps made by a time.
func (e *event) steps(t float64) float64 { return e.stride + t*e.who.cadence }
