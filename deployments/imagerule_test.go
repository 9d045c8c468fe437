package deployments

import "testing"

func TestImageRule(t *testing.T) {
	rule := ImageRule{Trusted: []string{"debian:*", "example.test/acme/*"}, Own: "127.0.0.1:5055/"}
	for reference, want := range map[string]Verdict{
		"debian:bookworm":               VerdictTrusted,
		"example.test/acme/base":        VerdictTrusted,
		"example.test/acme/deep/base":   VerdictAsk, // a star is one path element
		"redis:7":                       VerdictAsk,
		"127.0.0.1:5055/vitrine-x/shop": VerdictRefused,
		"sha256:0123456789ab":           VerdictRefused,
		"0123456789ab":                  VerdictRefused,
		"deadbeef":                      VerdictRefused,
		"cafe":                          VerdictAsk, // too short for an ID
		"localhost:5055/shop":           VerdictRefused,
		"LocalHost/shop":                VerdictRefused,
		"registry.localhost/shop":       VerdictRefused,
		"[::1]:5055/shop":               VerdictRefused,
		"127.1.2.3/shop":                VerdictRefused,
		"0.0.0.0:5055/shop":             VerdictRefused,
		"vitrine-0123/acme/shop/web":    VerdictRefused,
		"example.test/vitrine-0123/web": VerdictRefused,
		"example.test:5000/shop":        VerdictAsk,
		"[2001:db8::1]:5000/shop":       VerdictAsk,
	} {
		if got, reason := rule.Judge(reference); got != want || (reason != "") != (want == VerdictRefused) {
			t.Errorf("%s: got %q (%s), want %q", reference, got, reason, want)
		}
	}
}
