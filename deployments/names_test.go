package deployments

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestNames(t *testing.T) {
	for name, test := range map[string]struct {
		got             Name
		label, fallback string
	}{
		"slug":                     {SlugOf("acme/shop"), "shop", "acme-shop"},
		"slug with capitals":       {SlugOf("Acme/My_Shop.io"), "my-shop-io", "acme-my-shop-io"},
		"pull request":             {NameOf(Origin{Repo: "acme/shop", PullRequest: 42}, "shop"), "shop-pr-42", "shop-pr-42-191559"},
		"tracked branch":           {NameOf(Origin{Repo: "acme/shop", Branch: "main"}, "shop"), "shop-main", "shop-main-cb23d8"},
		"by hand":                  {NameOf(Origin{Name: "demo"}, ""), "demo", "demo-2a9751"},
		"branch with a slash":      {BranchName("acme/shop", "shop", "feature/login"), "shop-feature-login", "shop-feature-login-623c56"},
		"branch that is hostile":   {BranchName("acme/shop", "shop", "--upload-pack=x"), "shop-upload-pack-x", "shop-upload-pack-x-b1cbd7"},
		"branch in another script": {BranchName("acme/shop", "shop", "ветка"), "shop-790dbc", "shop-790dbc"},
		"service":                  {ServiceName("shop-pr-42", "api"), "api-shop-pr-42", "api-shop-pr-42-3530db"},
		"service with punycode":    {ServiceName("shop-pr-42", "xn--80ak6aa92e"), "xn-80ak6aa92e-shop-pr-42", "xn-80ak6aa92e-shop-pr-42-c94be6"},
	} {
		t.Run(name, func(t *testing.T) {
			if test.got.Label != test.label || test.got.Fallback != test.fallback {
				t.Errorf("got %q and %q, want %q and %q", test.got.Label, test.got.Fallback, test.label, test.fallback)
			}
		})
	}
	long := BranchName("acme/shop", "shop", strings.Repeat("a", 200))
	if len(long.Label) != maxLabel || long.Label == BranchName("acme/shop", "shop", strings.Repeat("a", 201)).Label {
		t.Errorf("a long branch makes %q, want %d characters that differ from another long branch's", long.Label, maxLabel)
	}
}

// A label is one of RFC 1035 §2.3.1 without "--" in places 3 and 4, whatever people call their branches.
func TestNamesAreLabels(t *testing.T) {
	valid := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	rapid.Check(t, func(t *rapid.T) {
		n := BranchName("acme/shop", rapid.StringMatching(`[a-z0-9]{1,70}`).Draw(t, "slug"), rapid.String().Draw(t, "branch"))
		for _, l := range []string{n.Label, n.Fallback, ServiceName(n.Label, rapid.String().Draw(t, "service")).Label} {
			if !valid.MatchString(l) || len(l) > 3 && l[2:4] == "--" {
				t.Fatalf("%q is no label", l)
			}
		}
	})
}
