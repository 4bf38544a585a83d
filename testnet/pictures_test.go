package testnet_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/mlecs/mlecs/testnet"
)

var pictured = flag.String("pictures", "", "folder of a running testnet whose first edge's page is pictured, for the docs")

// TestPictures takes the docs' screenshots of a running testnet's page (make pictures), to the folder that MLECS_SCREENSHOTS names.
func TestPictures(t *testing.T) {
	if *pictured == "" {
		t.Skip("no testnet is given (-pictures)")
	}
	folder, err := testnet.OpenFolder(*pictured)
	if err != nil {
		t.Fatal(err)
	}
	var edge testnet.Member
	for _, m := range folder.Members {
		if m.Name == "edge-1" {
			edge = m
		}
	}
	p := newBrowser(t).open(t)
	p.run(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(loginLink(t, testnet.InProcessNode(edge))), chromedp.WaitVisible("#app"))
	const rounds = 3
	p.until(t, "some rounds", fmt.Sprintf(`document.querySelectorAll('#timeline .bar').length >= %d`, rounds))
	p.until(t, "traffic over time", `document.querySelectorAll('#rates .line').length === 2`)
	p.shot(t, "dashboard")
	p.run(t, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
		chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
	p.until(t, "no sideways scrolling", `document.documentElement.scrollWidth <= 390`)
	p.shot(t, "dashboard-phone")
}
