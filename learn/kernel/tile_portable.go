package kernel

// tilePortable is the micro-kernel in Go, for tiles of up to 4 x 4.
func tilePortable(rows, cols, k int, alpha float32, a []float32, arow, acol int, b []float32, brow int, beta float32, c []float32, ldc int) {
	var acc [16]float32
	i := 0
	for ; i+2 <= rows; i += 2 {
		tile2x4(k, a[i*arow:], arow, acol, b, brow, (*[8]float32)(acc[i*4:]))
	}
	if i < rows {
		tile1x4(k, a[i*arow:], acol, b, brow, (*[4]float32)(acc[i*4:]))
	}
	for i := range rows {
		ci := c[i*ldc : i*ldc+cols]
		for j := range ci {
			x := alpha * acc[i*4+j]
			if beta != 0 {
				x += beta * ci[j]
			}
			ci[j] = x
		}
	}
}

func tile2x4(k int, a []float32, arow, acol int, b []float32, brow int, acc *[8]float32) {
	var c00, c01, c02, c03, c10, c11, c12, c13 float32
	a1 := a[arow:]
	for p := range k {
		x, y := a[p*acol], a1[p*acol]
		v := (*[4]float32)(b[p*brow:])
		c00 += x * v[0]
		c01 += x * v[1]
		c02 += x * v[2]
		c03 += x * v[3]
		c10 += y * v[0]
		c11 += y * v[1]
		c12 += y * v[2]
		c13 += y * v[3]
	}
	*acc = [8]float32{c00, c01, c02, c03, c10, c11, c12, c13}
}

func tile1x4(k int, a []float32, acol int, b []float32, brow int, acc *[4]float32) {
	var c0, c1, c2, c3 float32
	for p := range k {
		x := a[p*acol]
		v := (*[4]float32)(b[p*brow:])
		c0 += x * v[0]
		c1 += x * v[1]
		c2 += x * v[2]
		c3 += x * v[3]
	}
	*acc = [4]float32{c0, c1, c2, c3}
}
