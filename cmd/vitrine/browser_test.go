package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// A visit is a tab of a real Chromium, and what went wrong in it.
type visit struct {
	*testing.T
	ctx context.Context

	mu    sync.Mutex
	wrong []string // dialogs and what the console complains of
}

func browse(t *testing.T) *visit {
	t.Helper()
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
	v := &visit{T: t, ctx: tab}
	// The browser belongs to the first context that is used, which must not be a limited one.
	if err := chromedp.Do(tab); err != nil {
		t.Fatalf("this test needs a Chromium: %v", err)
	}
	if err := chromedp.Listen(tab, v.hear); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(v.ctx, log.Enable, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *visit) hear(event any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		v.wrong = append(v.wrong, "dialog: "+e.Message)
	case *log.EventEntryAdded:
		// Chromium itself says that a page's own status is an error, and the server has no icon.
		if !strings.HasPrefix(e.Entry.Text, "Failed to load resource: the server responded with a status of") {
			v.wrong = append(v.wrong, "console: "+e.Entry.Text)
		}
	}
}

func (v *visit) do(what string, action chromedp.Action[chromedp.Void]) {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, action); err != nil {
		v.Fatalf("%s: %v; the page is %+v", what, err, v.sees())
	}
}

func (v *visit) open(address string) {
	v.Helper()
	v.do("open "+address, chromedp.Navigate(address))
}

// press clicks the button, or the link, that says so.
func (v *visit) press(text string) {
	v.Helper()
	v.do("press "+text, chromedp.Click(fmt.Sprintf("(//button | //a)[contains(normalize-space(), %q)]", text)))
}

// A sight is what the tab shows.
type sight struct {
	Address, Text string
	Status        int
}

func (v *visit) sees() sight {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	seen, err := chromedp.Run(ctx, chromedp.Evaluate[sight](`({
		Address: location.href, Text: document.body.innerText, Status: performance.getEntriesByType("navigation")[0].responseStatus,
	})`))
	if err != nil {
		v.Errorf("look at the page: %v", err)
	}
	return seen
}

// shows waits for a page by its heading, and checks that it says the texts.
func (v *visit) shows(heading string, texts ...string) {
	v.Helper()
	v.do("wait for "+heading, chromedp.WaitVisible(fmt.Sprintf("//h1[contains(normalize-space(), %q)]", heading)))
	seen := v.sees()
	if seen.Status != http.StatusOK {
		v.Errorf("%s answers %d", seen.Address, seen.Status)
	}
	for _, text := range texts {
		if !strings.Contains(seen.Text, text) {
			v.Errorf("%s does not say %q:\n%s", seen.Address, text, seen.Text)
		}
	}
}

// refused checks that there is nothing at an address.
func (v *visit) refused(address string) {
	v.Helper()
	v.open(address)
	if seen := v.sees(); seen.Status != http.StatusNotFound || seen.Address != address || strings.Contains(seen.Text, "Vitrine") {
		v.Fatalf("%s is answered with %+v", address, seen)
	}
}

// value returns that of a form's field.
func (v *visit) value(selector string) string {
	v.Helper()
	ctx, cancel := context.WithTimeout(v.ctx, patience)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("document.querySelector(%q).value", selector)))
	if err != nil {
		v.Fatalf("read %s: %v", selector, err)
	}
	return text
}

// noComplaints checks that nothing went wrong in the tab.
func (v *visit) noComplaints() {
	v.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.wrong) > 0 {
		v.Errorf("the browser complains: %q", v.wrong)
	}
}
