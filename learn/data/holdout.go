package data

import (
	"cmp"
	"math/rand/v2"
	"slices"
)

// testShare is the share of training rows that become test or validation rows where there are none.
const testShare = 0.2

// holdOut reserves about a fifth of the training rows of every domain without test rows, and makes them test rows at
// once where no domain has any.
func holdOut(domains []cell, rng *rand.Rand) {
	var lone []*unit // of domains with one row, too few for a fifth of each
	for i := range domains {
		c := &domains[i]
		if c.count(testRows) > 0 {
			continue
		}
		switch units := withTraining(c.units); {
		case c.count(trainRows) < 2:
			lone = append(lone, units...)
		case len(units) > 1:
			reserve(units, rng)
		default: // the end of the only one
			u := units[0]
			n := len(u.train)
			at := min(n-int(testShare*float64(n)+0.5), n-1)
			c.units = append(c.units, &unit{train: u.train[at:], reserved: true})
			u.train = u.train[:at:at]
		}
	}
	if len(lone) > 1 {
		reserve(lone, rng)
	}
	if count(domains, testRows) == 0 {
		release(unitsOf(domains))
	}
}

// reserve marks units with about a fifth of the training rows.
func reserve(units []*unit, rng *rand.Rand) {
	rows := 0
	for _, u := range units {
		rows += len(u.train)
	}
	for _, u := range pick(units, testShare*float64(rows), rng) {
		u.reserved = true
	}
}

// release makes test rows of the training rows that are reserved.
func release(units []*unit) {
	for _, u := range units {
		if u.reserved {
			u.train, u.test, u.reserved = nil, append(u.test, u.train...), false
		}
	}
}

// validate drops the test rows, and those that could be, and puts validation rows in their place: those of the set, or
// else a fifth of the training rows that are left.
func (p *partitioner) validate(domains []cell) {
	for i := range domains {
		c := &domains[i]
		c.units = slices.DeleteFunc(c.units, func(u *unit) bool { return u.reserved })
		for _, u := range c.units {
			u.test = u.validation
		}
	}
	holdOut(domains, p.rng)
}

// pick draws units whose training rows come close to target, at least one and never all of them. It wants two or more.
func pick(units []*unit, target float64, rng *rand.Rand) []*unit {
	shuffled := slices.Clone(units)
	rng.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	var picked []*unit
	sum := 0.0
	for _, u := range shuffled {
		n := float64(len(u.train))
		if abs(sum+n-target) < abs(sum-target) && len(picked) < len(units)-1 {
			picked = append(picked, u)
			sum += n
		}
	}
	if len(picked) == 0 {
		picked = append(picked, slices.MinFunc(shuffled, func(a, b *unit) int { return cmp.Compare(len(a.train), len(b.train)) }))
	}
	return picked
}

func abs(x float64) float64 { return max(x, -x) }
