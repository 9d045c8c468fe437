package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"vitrine/deployments"
	"vitrine/deployments/web/browsertest"
)

// browse opens a tab of a telephone's size.
func browse(t *testing.T) *browsertest.Tab {
	t.Helper()
	tab := browsertest.Open(t)
	tab.Phone()
	return tab
}

// A look is what a page looks like.
type look struct {
	Title, Text, Size, Ground string
	Width, Tags               int
}

// lookAt returns that of the page at an address.
func lookAt(tab *browsertest.Tab, address string) look {
	tab.Helper()
	tab.Visit(address)
	return browsertest.Eval[look](tab, `({
		Title: document.title, Text: document.querySelector("main").innerText,
		Size: getComputedStyle(document.querySelector("h1")).fontSize, Ground: getComputedStyle(document.body).backgroundColor,
		Width: document.documentElement.scrollWidth, Tags: document.querySelectorAll("script, img, b").length,
	})`)
}

func TestTheLobbyInABrowser(t *testing.T) {
	tab := browse(t)
	h := open(t)
	h.route("shop")
	address := fmt.Sprintf("http://shop.%s%s/", domain, h.addr[strings.LastIndex(h.addr, ":"):])
	long := strings.Repeat("verylongword", 40)
	for _, status := range []deployments.HostStatus{
		deployments.HostBuilding, deployments.HostWaiting, deployments.HostFailed, deployments.HostExpired, deployments.HostUnknown,
	} {
		for _, detail := range []string{"building, step 6 of 11", long, `<script>alert(1)</script><img src=x onerror=alert(2)><b>bold</b>`} {
			h.says(deployments.HostState{Status: status, Detail: detail})
			page := lookAt(tab, address)
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
		browsertest.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		grounds[lookAt(tab, address).Ground] = scheme
	}
	if len(grounds) != 2 {
		t.Errorf("light and dark look alike: %v", grounds)
	}
	tab.NoComplaints()
	for _, url := range tab.Requests() {
		if url != address {
			t.Errorf("the page asked for %s", url)
		}
	}
}

func TestTheLobbyTurnsIntoThePreviewByItself(t *testing.T) {
	tab := browse(t)
	h := open(t)
	h.says(deployments.HostState{Status: deployments.HostBuilding, Detail: "building"})
	h.route("shop")
	address := fmt.Sprintf("http://shop.%s%s/", domain, h.addr[strings.LastIndex(h.addr, ":"):])
	before := lookAt(tab, address).Title
	h.route("shop", saying(t, `<!doctype html><title>the app</title><p id="app">It is here.</p>`).URL)
	tab.Do("wait for the app", chromedp.WaitVisible(chromedp.CSS("#app")))
	if after := browsertest.Run(tab, "read the title", chromedp.Title()); before != "This preview is being built" || after != "the app" {
		t.Errorf("first %q, then %q", before, after)
	}
}
