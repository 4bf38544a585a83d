package node

import (
	"os"
	"time"
)

// clockVariable sets this process's clock off by a duration such as +10m, to test what a node with a wrong clock does to a federation.
const clockVariable = "MLECS_CLOCK_SHIFT"

var clockShift = func() time.Duration {
	d, err := time.ParseDuration(os.Getenv(clockVariable))
	if err != nil {
		return 0 // almost always: it is not set
	}
	return d
}()

// now is what this node takes for the time: in its records, and to judge certificates.
func now() time.Time { return time.Now().Add(clockShift) }
