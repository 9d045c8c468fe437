package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"vitrine/deployments/web/browsertest"
)

// A visit is what a person does in a browser, and sees.
type visit struct{ *browsertest.Tab }

func browse(t *testing.T) *visit {
	t.Helper()
	return &visit{browsertest.Open(t)}
}

// press clicks the button, or the link, that says so.
func (v *visit) press(text string) {
	v.Helper()
	v.Do("press "+text, chromedp.Click(fmt.Sprintf("(//button | //a)[contains(normalize-space(), %q)]", text)))
}

// A sight is what the tab shows.
type sight struct {
	Address, Text string
	Status        int
}

func (v *visit) sees() sight {
	v.Helper()
	return browsertest.Eval[sight](v.Tab, `({
		Address: location.href, Text: document.body.innerText, Status: performance.getEntriesByType("navigation")[0].responseStatus,
	})`)
}

// shows waits for a page by its heading, and checks that it says the texts.
func (v *visit) shows(heading string, texts ...string) {
	v.Helper()
	v.Do("wait for "+heading, chromedp.WaitVisible(fmt.Sprintf("//h1[contains(normalize-space(), %q)]", heading)))
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
	v.Visit(address)
	if seen := v.sees(); seen.Status != http.StatusNotFound || seen.Address != address || strings.Contains(seen.Text, "Vitrine") {
		v.Fatalf("%s is answered with %+v", address, seen)
	}
}
