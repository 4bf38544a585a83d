package data

import (
	"math"
	"math/rand/v2"
	"strconv"
)

const gravity = 9.81 // m/s²

// accelerations is the CSV of the wrist's accelerometer: what a body feels is its acceleration less gravity's, turned
// into the device's frame, with noise, and cut at the device's range.
func (e *event) accelerations(rng *rand.Rand) []byte {
	h := e.home
	// How the arm is held changes from event to event, so that gravity's direction alone does not give the posture away.
	held := turn(h.looseness*rng.NormFloat64(), h.looseness*rng.NormFloat64(), 2*h.looseness*rng.NormFloat64())
	w := wobble{
		breath: between(rng, 0, 2*math.Pi),
		fidget: -1,
		ring:   between(rng, 8, 14),
		jerk:   between(rng, 0.6, 1.2),
	}
	if rng.Float64() < 0.2 {
		w.fidget, w.effort = between(rng, 0.2, 1.7), between(rng, 0.08, 0.3)
	}
	bias := vec{0.02 * rng.NormFloat64(), 0.02 * rng.NormFloat64(), 0.02 * rng.NormFloat64()}

	out := []byte("t_ms,ax,ay,az\n")
	interval := 1 / h.rate
	for t := 0.0; t < eventSeconds; t += interval * between(rng, 0.9, 1.1) {
		felt := e.feels(t, w)
		// The torso's lean tilts the arm's frame in the plane of movement.
		lean := turn(0, e.pose(t).torso, 0)
		a := h.worn.apply(held.apply(lean.apply(felt)))
		out = strconv.AppendInt(out, int64(t*1000), 10)
		for _, v := range []float64{a.x + bias.x, a.y + bias.y, a.z + bias.z} {
			v += h.noise * rng.NormFloat64()
			out = append(out, ',')
			out = strconv.AppendFloat(out, min(max(v, -h.limit), h.limit), 'f', 3, 64)
		}
		out = append(out, '\n')
	}
	return out
}

// wobble is what an event's acceleration has besides its motion.
type wobble struct {
	breath         float64 // phase
	fidget, effort float64 // time in s of a gesture (below 0: none) and its strength in g
	ring           float64 // Hz, of the arm after an impact
	jerk           float64 // sideways share of an impact
}

// feels is the acceleration at a time in g: x forward, y up, z sideways.
func (e *event) feels(t float64, w wobble) vec {
	a := vec{y: 1}
	a.y += 0.006 * math.Sin(2*math.Pi*0.3*t+w.breath)
	if d := (t - w.fidget) / 0.12; w.fidget >= 0 && d > -1 && d < 1 {
		a.x += w.effort * math.Sin(math.Pi*d)
		a.z += 0.6 * w.effort * (1 - d*d)
	}
	switch e.motion {
	case "walking":
		e.gait(t, &a)
	case "shifting":
		// The second derivative of least jerk.
		span := e.end - e.begin
		if s := (t - e.begin) / span; s > 0 && s < 1 {
			way := 60 * s * (1 + s*(2*s-3)) / (span * span) / gravity
			a.y += way * (e.after.pelvis - e.before.pelvis) * e.who.size
			a.x += way * 0.35 * (e.after.torso - e.before.torso) * e.who.size
		}
	case "falling":
		e.drop(t, w, &a)
	}
	return a
}

// gait adds the rise and fall of the trunk twice a stride, the arm's swing once, and a jolt at every heel strike.
func (e *event) gait(t float64, a *vec) {
	steps := e.steps(t)
	phase := 2 * math.Pi * steps
	bounce := 0.22 * e.who.vigour * e.who.cadence / 1.8
	if e.posture == "bending" {
		bounce *= 0.75
	}
	a.y += bounce * math.Sin(phase)
	a.x += 0.7 * bounce * math.Sin(phase/2)
	a.z += 0.3 * bounce * math.Sin(phase/2+1)
	since := (steps - math.Floor(steps)) / e.who.cadence
	a.y += 0.8 * bounce * decay(since, 0.04) * math.Cos(2*math.Pi*12*since)
}

// drop adds partial weightlessness, the impact that takes away the speed in a half wave, and the ringing after it.
func (e *event) drop(t float64, w wobble, a *vec) {
	switch {
	case t > e.begin && t < e.end:
		a.y -= min(e.speed/(e.end-e.begin)/gravity, 0.9)
		a.x += 0.25 * (t - e.begin) / (e.end - e.begin)
	case t >= e.end:
		since := t - e.end
		peak := e.speed * math.Pi / 2 / e.softness / gravity
		if since < e.softness {
			pulse := peak * math.Sin(math.Pi*since/e.softness)
			a.y += pulse
			a.x += 0.5 * w.jerk * pulse
			a.z += 0.3 * w.jerk * pulse
		}
		ring := 0.25 * peak * decay(since, 0.09) * math.Sin(2*math.Pi*w.ring*since)
		a.y += ring
		a.x += w.jerk * ring
	}
}

// decay falls from 1 with a time constant like an exponential, but is a plain quotient: math.Exp takes other
// instructions, with other last bits, on other processors.
func decay(t, constant float64) float64 {
	x := t / constant
	return 1 / (1 + x*(1+x*(0.5+x/6)))
}
