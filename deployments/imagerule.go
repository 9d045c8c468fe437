package deployments

import (
	"fmt"
	"net/netip"
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
	// Our own registry has more names than Own, and other servers on the engine have registries of their own.
	domain, repository := splitDomain(reference)
	if strings.HasPrefix(repository, "vitrine-") {
		return VerdictRefused, fmt.Sprintf("image %q is one of a preview; name the original", reference)
	}
	if isLoopback(domain) {
		return VerdictRefused, fmt.Sprintf("image %q would come from the engine's own machine; name one in a registry", reference)
	}
	return VerdictAsk, ""
}

// splitDomain returns the registry's host, with its port, and the rest. What stands before the first slash is a host only where it has a dot or a
// colon or is "localhost" (distribution/reference, "splitDockerDomain").
func splitDomain(reference string) (domain, rest string) {
	before, after, found := strings.Cut(reference, "/")
	if found && (strings.ContainsAny(before, ".:") || strings.EqualFold(before, "localhost")) {
		return before, after
	}
	return "", reference
}

// isLoopback reports whether a host, with or without a port, means the engine's own machine.
func isLoopback(domain string) bool {
	host := domain
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && (address.Unmap().IsLoopback() || address.IsUnspecified())
}
