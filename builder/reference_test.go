package builder

import (
	"strings"
	"testing"

	"github.com/distribution/reference"

	"vitrine/deployments"
)

func TestComponent(t *testing.T) {
	for s, want := range map[string]string{
		"shop":                  "shop",
		"shop-front.v2_x":       "shop-front.v2_x",
		"Shop":                  "shop-" + hashOf("Shop"),
		".github":               "github-" + hashOf(".github"),
		"a..b":                  "a.b-" + hashOf("a..b"),
		"a-_b":                  "a-b-" + hashOf("a-_b"),
		"":                      "x-" + hashOf(""),
		"...":                   "x-" + hashOf("..."),
		"ветка":                 "x-" + hashOf("ветка"),
		"a/b":                   "a-b-" + hashOf("a/b"),
		"a-12345678":            "a-12345678-" + hashOf("a-12345678"),
		strings.Repeat("a", 60): strings.Repeat("a", 60),
		strings.Repeat("a", 61): strings.Repeat("a", 51) + "-" + hashOf(strings.Repeat("a", 61)),
	} {
		if got := component(s); got != want {
			t.Errorf("component(%q) = %q, want %q", s, got, want)
		}
	}
}

func FuzzReference(f *testing.F) {
	for _, s := range []string{"shop", "--upload-pack=x", "a;b", "../x", "ветка", strings.Repeat("x", 200), "A__b", "a.-b", "\x00", "a:b@c"} {
		f.Add(s, s, s)
	}
	b := &Builder{config: Config{Registry: "127.0.0.1:5055"}, prefix: "vitrine-" + component("0123456789abcdef") + "/"}
	source := deployments.Source{SHA: strings.Repeat("3f2a91c0", 5)}
	f.Fuzz(func(t *testing.T, repo, service, environment string) {
		ours := b.repositoryOf(repo, service) + ":" + commitTag(environment, source)
		parsed, err := reference.ParseNormalizedNamed(b.onEngine(ours))
		if err != nil {
			t.Fatalf("%q: %v", ours, err)
		}
		if parsed.String() != b.onEngine(ours) || reference.Domain(parsed) != b.config.Registry {
			t.Errorf("%q is read as %q", ours, parsed)
		}
		if back, ok := b.ours(parsed.String()); !ok || back != ours {
			t.Errorf("%q is not taken for ours", parsed)
		}
		if tag, id := commitTag(environment, source), idTag("sha256:"+strings.Repeat("a", 64)); tag == id {
			t.Errorf("environment %q has the tag of an image ID", environment)
		}
	})
}

func FuzzComponentKeepsApart(f *testing.F) {
	f.Add("a-b", "a_b")
	f.Add("Shop", "shop")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a != b && component(a) == component(b) {
			t.Errorf("%q and %q are both %q", a, b, component(a))
		}
	})
}
