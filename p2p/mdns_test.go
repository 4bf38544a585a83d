package p2p

import (
	"strings"
	"testing"

	"github.com/mlecs/mlecs/storage/record"
)

func TestMDNSNameHidesTheFederation(t *testing.T) {
	a, b := record.PayloadCID([]byte("a")), record.PayloadCID([]byte("b"))
	name, _, _ := strings.Cut(strings.TrimPrefix(mdnsService(a), "_"), ".")
	if len(name) > 15 || mdnsService(a) == mdnsService(b) {
		t.Errorf("names %q and %q", mdnsService(a), mdnsService(b))
	}
	if strings.Contains(a.String(), strings.TrimPrefix(name, "mlecs-")) {
		t.Errorf("%q gives away %s", name, a)
	}
}
