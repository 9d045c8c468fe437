// Package browsertest has a real Chromium for the tests of pages. Only tests import it.
package browsertest

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
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
)

// patience bounds what a tab is told to do.
const patience = 2 * time.Minute

// A Tab is that of a Chromium of the test's own, which ends with the test. What the browser does not do fails the test.
type Tab struct {
	*testing.T
	ctx context.Context

	mu       sync.Mutex
	wrong    []string
	refused  []string
	requests []string
}

// Open starts a browser, and skips a short test.
func Open(t *testing.T) *Tab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a Chromium")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("the browser that this test needs is not there: %v", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true))
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stopAllocator)
	ctx, stop := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("the browser did not end by itself: %v", err)
		}
		stop()
	})
	b := &Tab{T: t, ctx: ctx}
	// The browser belongs to the first context that is used, which must not be a limited one.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	Call(b, log.Enable, cdp.Empty{})
	Call(b, network.Enable, network.EnableParams{})
	return b
}

// Phone makes the tab 360 by 740 pixels large, as a telephone's.
func (b *Tab) Phone() {
	b.Helper()
	Call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 360, Height: 740, DeviceScaleFactor: 2, Mobile: true})
}

// Call sends a command of the DevTools protocol.
func Call[P, R any](b *Tab, command cdp.Command[P, R], params P) {
	b.Helper()
	if _, err := chromedp.Call(b.ctx, command, params); err != nil {
		b.Fatal(err)
	}
}

// Do has the tab do something, which what says.
func (b *Tab) Do(what string, action chromedp.Action[chromedp.Void]) {
	b.Helper()
	Run(b, what, action)
}

// Run is Do for what has an answer.
func Run[T any](b *Tab, what string, action chromedp.Action[T]) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	answer, err := chromedp.Run(ctx, action)
	if err != nil {
		seen, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`)) // as much as can be said
		b.Fatalf("%s: %v; the page is %s", what, err, seen)
	}
	return answer
}

// Eval returns what an expression in JavaScript is on the page.
func Eval[T any](b *Tab, expression string) T {
	b.Helper()
	return Run(b, "evaluate "+expression, chromedp.Evaluate[T](expression))
}

// Visit goes to an address.
func (b *Tab) Visit(address string) {
	b.Helper()
	b.Do("visit "+address, chromedp.Navigate(address))
}

func (b *Tab) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		b.wrong = append(b.wrong, "dialog: "+e.Message)
	case *log.EventEntryAdded:
		// That an answer has the status of an error is no complaint; see Refused.
		if !strings.HasPrefix(e.Entry.Text, "Failed to load resource: the server responded with a status of") {
			b.wrong = append(b.wrong, "console: "+e.Entry.Text)
		}
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *network.EventResponseReceived:
		if e.Response.Status >= http.StatusBadRequest {
			b.refused = append(b.refused, fmt.Sprintf("%s: %d", e.Response.URL, e.Response.Status))
		}
	}
}

// NoComplaints checks that no page opened a dialog, and that the console had nothing to say.
func (b *Tab) NoComplaints() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) > 0 {
		b.Errorf("the browser complains: %q", b.wrong)
	}
}

// Refused returns the addresses that were answered with the status of an error, which stands behind them.
func (b *Tab) Refused() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.refused)
}

// Requests returns the addresses that were asked for.
func (b *Tab) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.requests)
}
