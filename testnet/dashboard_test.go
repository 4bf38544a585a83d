package testnet_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/mlecs/mlecs/testnet"
)

// TestDashboard looks at the page of a running testnet's edge in a real browser. Its screenshots go to the folder
// that MLECS_SCREENSHOTS names, or are artifacts (go test -artifacts).
func TestDashboard(t *testing.T) {
	browser := newBrowser(t)
	o := tiny(t)
	o.InProcess, o.Nodes, o.Rounds, o.Steps = true, 3, 2000, 8000 // so that it goes on while the browser looks
	var first string
	o.Dashboard = func(url string) { first = url }
	net, err := testnet.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := net.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	if !strings.Contains(first, "/#login=") {
		t.Errorf("the testnet told the link %q", first)
	}
	edge := net.Nodes()[1]
	link := loginLink(t, edge)
	base, _, _ := strings.Cut(link, "/#")

	t.Run("without a login it tells nothing", func(t *testing.T) {
		p := browser.open(t)
		for _, url := range []string{base + "/", base + "/#login=WRONGCODE"} {
			var text string
			p.run(t, chromedp.Navigate("about:blank"), chromedp.Navigate(url), chromedp.WaitVisible("#locked"), chromedp.Text("body", &text))
			if !strings.Contains(text, "mlecs dashboard") || strings.Contains(text, edge.Name()) || strings.Contains(text, "super") {
				t.Errorf("%s shows %q", url, text)
			}
			var status int
			p.run(t, chromedp.Evaluate(`fetch('/v1/status').then(r => r.status)`, &status, awaited))
			if status != http.StatusUnauthorized {
				t.Errorf("the API answers %d", status)
			}
		}
		p.shot(t, "locked")
	})

	p := browser.open(t)
	p.run(t, chromedp.EmulateViewport(1280, 900), chromedp.Navigate(link), chromedp.WaitVisible("#app"))
	t.Run("the code does not stay in the address bar", func(t *testing.T) {
		var at string
		p.run(t, chromedp.Location(&at))
		if at != base+"/" {
			t.Errorf("the page is at %s", at)
		}
	})
	t.Run("every view shows the federation", func(t *testing.T) {
		for what, found := range map[string]string{
			"the node in the header":     `document.querySelector('#name').textContent === 'edge-1'`,
			"four members in the graph":  `document.querySelectorAll('#graph .member').length === 4`,
			"links to connected members": `document.querySelectorAll('#graph .link').length === 3`,
			"rounds with inputs":         `document.querySelectorAll('#timeline .bar span').length > 2`,
			"curves together and alone":  `document.querySelectorAll('#curves .line').length === 6`,
			"every edge's loss":          `document.querySelectorAll('#losses .line').length === 3`,
			"aggregates in the lineage":  `document.querySelectorAll('#dag .aggregate').length >= 2`,
			"deltas in the lineage":      `document.querySelectorAll('#dag .delta').length >= 3`,
			"the newest adapter's facts": `document.querySelector('#chosen').textContent.includes('bafy')`,
			"traffic":                    `document.querySelector('#totals').textContent.match(/[KM]iB/) !== null`,
			"traffic by peer":            `document.querySelectorAll('#by-peer .peer-row').length === 3`,
			"traffic by protocol":        `document.querySelector('#by-protocol').textContent.includes('/mlecs/')`,
			"events":                     `document.querySelectorAll('#log .delta').length > 0`,
			"a live connection":          `document.querySelector('#live').textContent === 'live'`,
		} {
			p.until(t, what, found)
		}
		p.shot(t, "light")
	})
	t.Run("what is drawn can be read as tables", func(t *testing.T) {
		p.run(t, chromedp.Evaluate(`document.querySelectorAll('details').forEach((e) => { e.open = true; })`, nil))
		p.until(t, "members and what they did wrong", `document.querySelectorAll('#peers tbody tr').length === 3 &&
			[...document.querySelectorAll('#peers th')].some((e) => e.textContent === 'faults')`)
		p.until(t, "scores", `document.querySelectorAll('#scores tbody tr').length >= 2`)
		p.run(t, chromedp.Evaluate(`document.querySelectorAll('details').forEach((e) => { e.open = false; })`, nil))
	})
	t.Run("it follows the node without a reload", func(t *testing.T) {
		round := `Number(document.querySelector('#round').textContent.match(/\d+/)[0])`
		var before int
		p.run(t, chromedp.Evaluate(`window.stays = true; `+round, &before))
		p.until(t, "a later round", fmt.Sprintf(`%s > %d && window.stays && document.querySelector('#timeline .strong').textContent === 'Round ' + %[1]s`, round, before))
	})
	t.Run("the keyboard reaches the parts of the lineage", func(t *testing.T) {
		p.run(t, chromedp.Evaluate(`document.querySelector('#dag .delta').focus()`, nil), chromedp.KeyEvent("\r"))
		p.until(t, "the chosen delta's facts", `document.querySelector('#chosen').textContent.startsWith('Delta')`)
	})
	t.Run("the model answers a dropped file", func(t *testing.T) {
		p.run(t, chromedp.SetUploadFiles("#files", []string{rowFile(t, edge)}), chromedp.WaitVisible("#chosen-files li"),
			chromedp.Click("#ask button[type=submit]"))
		p.until(t, "an answer", `document.querySelector('#answer dl')?.textContent.includes('Before learning')`)
		p.shot(t, "answer")
	})
	t.Run("an error says what to do", func(t *testing.T) {
		bad := filepath.Join(t.TempDir(), "broken.png")
		if err := os.WriteFile(bad, []byte("no picture"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.run(t, chromedp.Evaluate(`document.querySelectorAll('#chosen-files button').forEach(b => b.click())`, nil),
			chromedp.SetUploadFiles("#files", []string{bad}), chromedp.Click("#ask button[type=submit]"))
		p.until(t, "the error", `document.querySelector('#answer .problem') !== null`)
		p.run(t, chromedp.Evaluate(`document.querySelectorAll('#chosen-files button').forEach(b => b.click())`, nil), chromedp.Click("#ask button[type=submit]"))
		p.until(t, "advice", `document.querySelector('#answer .advice')?.textContent.includes('Choose a file')`)
	})
	t.Run("a phone in the dark can show it", func(t *testing.T) {
		p.run(t, emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}),
			chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile))
		p.until(t, "no sideways scrolling", `document.documentElement.scrollWidth <= 390`)
		p.until(t, "a dark background", `getComputedStyle(document.body).backgroundColor === 'rgb(18, 22, 28)'`)
		p.shot(t, "phone-dark")
	})
	t.Run("a session on one node is none on another", func(t *testing.T) {
		other, _, _ := strings.Cut(loginLink(t, net.Nodes()[2]), "/#")
		p.run(t, chromedp.Navigate(other+"/"), chromedp.WaitVisible("#locked"))
	})
	p.noForeignRequests(t, base)
}

// loginLink asks a node for a link to its page.
func loginLink(t *testing.T, n testnet.Node) string {
	t.Helper()
	client, err := n.API()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	login, err := client.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return login.URL
}

// rowFile is a file of one of the node's own rows.
func rowFile(t *testing.T, n testnet.Node) string {
	t.Helper()
	own := filepath.Join(n.Home(), "data", "own")
	var found string
	err := filepath.WalkDir(own, func(path string, _ os.DirEntry, err error) error {
		if ext := filepath.Ext(path); ext == ".png" || ext == ".wav" || ext == ".csv" {
			found = path
			return filepath.SkipAll
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file in %s: %v", own, err)
	}
	return found
}

// browser is the path of a Chromium.
type browser string

func newBrowser(t *testing.T) browser {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return browser(path)
		}
	}
	t.Skip("no Chromium on this machine: the page is not tested (apt-get install chromium)")
	return ""
}

// tab is one page of a browser. What its scripts complain about fails the test.
type tab struct {
	ctx context.Context

	mu       sync.Mutex
	requests []string
}

// open starts the browser, without a window and without any cookies.
func (b browser) open(t *testing.T) *tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(string(b)), chromedp.WSURLReadTimeout(time.Minute))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start %s: %v", b, err)
	}
	p := &tab{ctx: ctx}
	chromedp.ListenTarget(ctx, func(e any) {
		switch e := e.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page's script failed: %v", e.ExceptionDetails)
		case *cdplog.EventEntryAdded:
			if text := e.Entry.Text; e.Entry.Level == cdplog.LevelError && !strings.Contains(text, "status of 4") && !strings.Contains(text, "net::ERR") {
				t.Errorf("the browser says: %s", text)
			}
		case *network.EventRequestWillBeSent:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.requests = append(p.requests, e.Request.URL)
		}
	})
	p.run(t, cdplog.Enable(), runtime.Enable(), network.Enable())
	return p
}

func (p *tab) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// until polls until an expression is true in the page.
func (p *tab) until(t *testing.T, what, expression string) {
	t.Helper()
	var text string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var ok bool
		p.run(t, chromedp.Evaluate("Boolean("+expression+")", &ok))
		if ok {
			return
		}
	}
	p.run(t, chromedp.Text("body", &text))
	t.Errorf("not within a minute: %s. The page shows:\n%s", what, text)
}

// shot keeps a picture of the whole page, which must not be blank.
func (p *tab) shot(t *testing.T, name string) {
	t.Helper()
	var b []byte
	p.run(t, chromedp.Evaluate(`scrollTo(0, 0)`, nil), chromedp.FullScreenshot(&b, 100))
	picture, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if coloursOf(picture) < 3 {
		t.Errorf("the picture of %s is blank", name)
	}
	dir := os.Getenv("MLECS_SCREENSHOTS")
	if dir == "" {
		dir = t.ArtifactDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func coloursOf(m image.Image) int {
	seen := map[string]bool{}
	for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y += 3 {
		for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x += 3 {
			seen[fmt.Sprint(m.At(x, y).RGBA())] = true
			if len(seen) > 8 {
				return len(seen)
			}
		}
	}
	return len(seen)
}

// noForeignRequests wants everything that the tab asked for to have been the nodes' own.
func (p *tab) noForeignRequests(t *testing.T, base string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.requests) < 10 {
		t.Errorf("only the requests %v were seen", p.requests)
	}
	for _, url := range p.requests {
		if !strings.HasPrefix(url, "http://127.0.0.1:") && !strings.HasPrefix(url, "blob:http://127.0.0.1:") && !strings.HasPrefix(url, "data:") && url != "about:blank" {
			b, _ := json.Marshal(url)
			t.Errorf("the page of %s asks for %.200s", base, b)
		}
	}
}

func awaited(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
