package data

import (
	"bytes"
	"image"
	"image/png"
	"math"
	"math/rand/v2"
)

// pictureSize is the height and width of a generated picture.
const pictureSize = 48

// The room in m: the camera stands at z = 0, people are around roomMiddle, the wall is at roomEnd.
const (
	roomMiddle = 3.2
	roomEnd    = 5.0
	nearest    = 1.4
	focal      = 0.95 // in picture widths
)

// vec is a point or direction: x to the right, y up, z away from the camera.
type vec struct{ x, y, z float64 }

func (a vec) plus(b vec) vec      { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) minus(b vec) vec     { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) times(s float64) vec { return vec{a.x * s, a.y * s, a.z * s} }
func (a vec) dot(b vec) float64   { return a.x*b.x + a.y*b.y + a.z*b.z }

// rotation is three rows.
type rotation [3]vec

func (r rotation) apply(v vec) vec { return vec{r[0].dot(v), r[1].dot(v), r[2].dot(v)} }

// turn rotates about the x axis, then z, then y.
func turn(x, z, y float64) rotation {
	sx, cx := math.Sincos(x)
	sz, cz := math.Sincos(z)
	sy, cy := math.Sincos(y)
	return rotation{
		{cy * cz, sy*sx - cy*sz*cx, cy*sz*sx + sy*cx},
		{sz, cz * cx, -cz * sx},
		{-sy * cz, sy*sz*cx + cy*sx, cy*cx - sy*sz*sx},
	}
}

// box is a piece of furniture between two corners.
type box struct{ low, high vec }

// hit is the distance along a ray at which it meets the box, in multiples of the direction, or 0.
func (b box) hit(from, along vec) float64 {
	enter, leave := 0.0, math.Inf(1)
	for _, axis := range [3][4]float64{
		{from.x, along.x, b.low.x, b.high.x}, {from.y, along.y, b.low.y, b.high.y}, {from.z, along.z, b.low.z, b.high.z},
	} {
		if axis[1] == 0 {
			if axis[0] < axis[2] || axis[0] > axis[3] {
				return 0
			}
			continue
		}
		near, far := (axis[2]-axis[0])/axis[1], (axis[3]-axis[0])/axis[1]
		enter, leave = max(enter, min(near, far)), min(leave, max(near, far))
	}
	if enter > leave {
		return 0
	}
	return enter
}

// scene is the distance in m of what every pixel sees in the empty room.
type scene [pictureSize * pictureSize]float64

// background looks along every pixel's ray for floor, wall and furniture.
func (h *home) background() scene {
	var depth scene
	up, ahead := h.view()
	for i := range depth {
		u := (float64(i%pictureSize)+0.5)/pictureSize - 0.5
		v := 0.5 - (float64(i/pictureSize)+0.5)/pictureSize
		along := ahead.times(focal).plus(up.times(v)).plus(vec{x: u})
		depth[i] = math.Inf(1)
		if along.y < 0 {
			depth[i] = -h.camera.y / along.y
		}
		if along.z > 0 {
			depth[i] = min(depth[i], (roomEnd-h.camera.z)/along.z)
		}
		for _, b := range h.boxes {
			if d := b.hit(h.camera, along); d > 0 {
				depth[i] = min(depth[i], d)
			}
		}
		depth[i] *= focal
	}
	return depth
}

// view is the camera's upward and forward directions.
func (h *home) view() (up, ahead vec) {
	s, c := math.Sincos(h.pitch)
	return vec{y: c, z: s}, vec{y: -s, z: c}
}

// project gives a point's column, row and depth.
func (h *home) project(p vec) (column, row, depth float64) {
	up, ahead := h.view()
	d := p.minus(h.camera)
	depth = max(d.dot(ahead), 0.3)
	return (0.5 + focal*d.x/depth) * pictureSize, (0.5 - focal*d.dot(up)/depth) * pictureSize, depth
}

// limb is a part of the body between two points, thick in m.
type limb struct {
	from, to vec
	thick    float64
}

// body is the limbs of a pose where the person stands, in room coordinates.
func (e *event) body(t float64) []limb {
	p, size, girth := e.pose(t), e.who.size, e.who.girth
	sin, cos := math.Sincos(e.heading)
	// at turns a point of the plane of movement (forward, up), shifted sideways, into the room.
	at := func(forward, up, side float64) vec {
		return e.place.plus(vec{cos*forward - sin*side, up, sin*forward + cos*side})
	}
	reach := func(angle, length float64) (forward, up float64) {
		s, c := math.Sincos(angle)
		return s * length * size, c * length * size
	}
	hip := max(p.pelvis, 0.1) * size
	tx, ty := reach(p.torso, 0.52)
	nx, ny := reach(p.torso, 0.68)
	shoulder := [2]float64{tx, max(hip+ty, 0.1)}
	limbs := []limb{
		{at(0, hip, 0), at(shoulder[0], shoulder[1], 0), 0.15 * girth},
		{at(nx, max(hip+ny, 0.1), 0), at(nx*1.02, max(hip+ny, 0.1)+0.02, 0), 0.11},
	}
	swing := 0.0
	if e.motion == "walking" {
		swing = 0.4 * math.Sin(math.Pi*e.steps(t))
	}
	for _, side := range []float64{-1, 1} {
		kx, ky := reach(p.thigh+side*swing, 0.45)
		fx, fy := reach(p.shank+side*swing-0.3*math.Abs(swing), 0.45)
		w := side * 0.09 * girth
		knee := [2]float64{kx, max(hip-ky, 0.06)}
		limbs = append(limbs,
			limb{at(0, hip, w), at(knee[0], knee[1], w), 0.08 * girth},
			limb{at(knee[0], knee[1], w), at(knee[0]+fx, max(knee[1]-fy, 0.05), w), 0.06 * girth})
		ax, ay := reach(p.arm-side*swing, 0.55)
		limbs = append(limbs, limb{at(shoulder[0], shoulder[1], 2*w), at(shoulder[0]+ax, max(shoulder[1]-ay, 0.05), 2*w), 0.05 * girth})
	}
	return limbs
}

// photograph is the depth camera's picture as PNG: near is bright, people brighter still in homes whose camera sees warmth.
func (e *event) photograph(rng *rand.Rand) ([]byte, error) {
	h := e.home
	depth := h.scene
	var person [len(depth)]bool
	for _, l := range e.body(pictureAt) {
		h.paint(l, &depth, &person)
	}
	img := image.NewGray(image.Rect(0, 0, pictureSize, pictureSize))
	for i, d := range depth {
		v := min(max((roomEnd+0.5-d)/(roomEnd+0.5-nearest), 0), 1)
		if person[i] {
			v += h.warm * (1 - v)
		} else {
			v *= 1 - 0.6*h.warm
		}
		v = h.offset + h.gain*(1-h.offset)*v + h.grain*rng.NormFloat64()
		if rng.Float64() < h.dropout {
			v = 0
		}
		img.Pix[i] = uint8(255*min(max(v, 0), 1) + 0.5)
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// paint draws a limb as a thick line, nearer things in front.
func (h *home) paint(l limb, depth *scene, person *[pictureSize * pictureSize]bool) {
	x0, y0, z0 := h.project(l.from)
	x1, y1, z1 := h.project(l.to)
	thick := l.thick * focal * pictureSize
	r := thick/min(z0, z1) + 1
	dx, dy := x1-x0, y1-y0
	square := max(dx*dx+dy*dy, 1e-9)
	for y := max(0, int(min(y0, y1)-r)); y <= min(pictureSize-1, int(max(y0, y1)+r)); y++ {
		for x := max(0, int(min(x0, x1)-r)); x <= min(pictureSize-1, int(max(x0, x1)+r)); x++ {
			px, py := float64(x)+0.5-x0, float64(y)+0.5-y0
			along := min(max((px*dx+py*dy)/square, 0), 1)
			z := z0 + along*(z1-z0)
			ex, ey := px-along*dx, py-along*dy
			i := y*pictureSize + x
			if radius := thick / z; ex*ex+ey*ey <= radius*radius && z-l.thick < depth[i] {
				depth[i], person[i] = z-l.thick, true
			}
		}
	}
}
