package deployments

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

// An ImageRule says which images a repository may name in a FROM, a COPY --from or an image: line. An engine starts any image that lies on it, also
// somebody else's private one, so having it is no permission.
type ImageRule struct {
	// Trusted are the operator's patterns over references as people write them, in path.Match's syntax: "debian:*", "ghcr.example/acme/*".
	Trusted []string
	// Own is the prefix of our registry's references ("127.0.0.1:5055/"), which nobody may name.
	Own string
}

// A Verdict is what an ImageRule says of a reference.
type Verdict string

// The verdicts.
const (
	VerdictTrusted Verdict = "trusted" // goes as it is, from the engine if it lies there
	VerdictAsk     Verdict = "ask"     // goes if its registry gives it to this repository's credentials
	VerdictRefused Verdict = "refused"
)

// imageID matches what an engine takes for (the beginning of) an image ID.
var imageID = regexp.MustCompile(`^(sha256:)?[0-9a-f]{6,64}$`)

// Judge returns the verdict on a reference and, where it is refused, a sentence that says why.
func (r ImageRule) Judge(reference string) (Verdict, string) {
	if r.Own != "" && strings.HasPrefix(reference, r.Own) {
		return VerdictRefused, fmt.Sprintf("image %q lies in the preview registry, which holds other people's images; name the original", reference)
	}
	for _, pattern := range r.Trusted {
		if ok, err := path.Match(pattern, reference); err == nil && ok {
			return VerdictTrusted, ""
		}
	}
	if imageID.MatchString(reference) {
		return VerdictRefused, fmt.Sprintf("image %q is an image ID; name an image by its repository and tag", reference)
	}
	return VerdictAsk, ""
}
