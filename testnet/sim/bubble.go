package sim

import (
	"flag"
	"sync"
	"testing"
	"testing/synctest"
)

// testingFlags registers the flags that package testing reads.
var testingFlags = sync.OnceFunc(func() {
	if flag.Lookup("test.v") == nil {
		testing.Init()
	}
})

// inVirtualTime runs f, and the goroutines that it starts, in a bubble whose clock moves on only when all of them wait. They must have
// ended when f returns. The standard library offers bubbles to tests alone, and asks for nothing of the test but that it exists.
func inVirtualTime(f func() error) (err error) {
	testingFlags()
	synctest.Test(new(testing.T), func(*testing.T) { err = f() })
	return err
}
