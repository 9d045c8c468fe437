package proxy

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"vitrine/deployments"
)

// A visit is a tab of a real Chromium, of a telephone's size, and what went wrong in it.
type visit struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	wrong    []string // dialogs and what the console complains of
	requests []string
}

func browse(t *testing.T) *visit {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stopAllocator)
	tab, stopTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(tab); err != nil {
			t.Logf("the browser did not end by itself: %v", err)
		}
		stopTab()
	})
	v := &visit{t: t}
	var cancel context.CancelFunc
	v.ctx, cancel = context.WithTimeout(tab, 90*time.Second)
	t.Cleanup(cancel)
	// The browser belongs to the first context that is used, which must not be the limited one.
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("these tests need a Chromium: %v", err)
	}
	if err := chromedp.Listen(tab, v.hear); err != nil {
		t.Fatal(err)
	}
	call(v, log.Enable, cdp.Empty{})
	call(v, network.Enable, network.EnableParams{})
	call(v, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 2, Mobile: true})
	return v
}

func call[P, R any](v *visit, command cdp.Command[P, R], params P) {
	v.t.Helper()
	if _, err := chromedp.Call(v.ctx, command, params); err != nil {
		v.t.Fatal(err)
	}
}

// A look is what a page looks like.
type look struct {
	Title, Text, Size, Ground string
	Width, Tags               int
}

// look returns that of the page at an address.
func (v *visit) look(address string) look {
	v.t.Helper()
	if err := chromedp.Do(v.ctx, chromedp.Navigate(address)); err != nil {
		v.t.Fatal(err)
	}
	seen, err := chromedp.Run(v.ctx, chromedp.Evaluate[look](`({
		Title: document.title, Text: document.querySelector("main").innerText,
		Size: getComputedStyle(document.querySelector("h1")).fontSize, Ground: getComputedStyle(document.body).backgroundColor,
		Width: document.documentElement.scrollWidth, Tags: document.querySelectorAll("script, img, b").length,
	})`))
	if err != nil {
		v.t.Fatal(err)
	}
	return seen
}

func (v *visit) hear(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		v.wrong = append(v.wrong, "dialog: "+e.Message)
	case *log.EventEntryAdded:
		// Chromium itself says that the page's own status is an error.
		if !strings.HasPrefix(e.Entry.Text, "Failed to load resource: the server responded with a status of") {
			v.wrong = append(v.wrong, "console: "+e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		v.requests = append(v.requests, e.Request.URL)
	}
}

func TestTheLobbyInABrowser(t *testing.T) {
	v := browse(t)
	h := open(t)
	h.route("shop")
	address := fmt.Sprintf("http://shop.%s%s/", domain, h.addr[strings.LastIndex(h.addr, ":"):])
	long := strings.Repeat("verylongword", 40)
	for _, status := range []deployments.HostStatus{
		deployments.HostBuilding, deployments.HostWaiting, deployments.HostFailed, deployments.HostExpired, deployments.HostUnknown,
	} {
		for _, detail := range []string{"building, step 6 of 11", long, `<script>alert(1)</script><img src=x onerror=alert(2)><b>bold</b>`} {
			h.says(deployments.HostState{Status: status, Detail: detail})
			page := v.look(address)
			if page.Width > 360 {
				t.Errorf("%s: the page is %d px wide", status, page.Width)
			}
			if page.Tags != 0 {
				t.Errorf("%s: %q made tags", status, detail)
			}
			if page.Size != "25.6px" {
				t.Errorf("%s: the style does not count: h1 is %s", status, page.Size)
			}
			if !strings.HasPrefix(page.Text, page.Title) || page.Title == "" {
				t.Errorf("%s: titled %q and shows %q", status, page.Title, page.Text)
			}
			if known := status != deployments.HostUnknown; strings.Contains(page.Text, detail[:10]) != known {
				t.Errorf("%s: shows %q", status, page.Text)
			}
		}
	}
	grounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		call(v, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		grounds[v.look(address).Ground] = scheme
	}
	if len(grounds) != 2 {
		t.Errorf("light and dark look alike: %v", grounds)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.wrong) > 0 {
		t.Errorf("the browser complains: %q", v.wrong)
	}
	for _, url := range v.requests {
		if url != address {
			t.Errorf("the page asked for %s", url)
		}
	}
}

func TestTheLobbyTurnsIntoThePreviewByItself(t *testing.T) {
	v := browse(t)
	h := open(t)
	h.says(deployments.HostState{Status: deployments.HostBuilding, Detail: "building"})
	h.route("shop")
	address := fmt.Sprintf("http://shop.%s%s/", domain, h.addr[strings.LastIndex(h.addr, ":"):])
	before := v.look(address).Title
	h.route("shop", saying(t, `<!doctype html><title>the app</title><p id="app">It is here.</p>`).URL)
	if err := chromedp.Do(v.ctx, chromedp.WaitVisible(chromedp.CSS("#app"))); err != nil {
		t.Fatal(err)
	}
	after, err := chromedp.Run(v.ctx, chromedp.Title())
	if err != nil || before != "This preview is being built" || after != "the app" {
		t.Errorf("first %q, then %q, %v", before, after, err)
	}
}
