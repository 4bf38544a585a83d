package node

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAvoided(t *testing.T) {
	id := someFederation // any CID
	synctest.Test(t, func(t *testing.T) {
		a := avoided{}
		check := func(when string, want bool) {
			t.Helper()
			if got := a.skip(id); got != want {
				t.Errorf("%s: skip is %v", when, got)
			}
		}
		check("at first", false)
		a.miss(id, 10*time.Second, time.Minute)
		check("within patience", false)
		time.Sleep(10 * time.Second)
		check("not asked again yet", false)
		a.miss(id, 10*time.Second, time.Minute)
		check("after patience", true)
		time.Sleep(time.Minute)
		check("after a rest", false)
		a.miss(id, 10*time.Second, time.Minute)
		check("still not in reach", true)
		a.reached(id)
		check("in reach again", false)
		a.ban(id)
		time.Sleep(time.Hour)
		check("unusable", true)
	})
}
