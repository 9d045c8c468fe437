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
	} {
		if got, reason := rule.Judge(reference); got != want || (reason != "") != (want == VerdictRefused) {
			t.Errorf("%s: got %q (%s), want %q", reference, got, reason, want)
		}
	}
}
