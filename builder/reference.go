package builder

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"vitrine/deployments"
)

const (
	// maxComponent is the longest component that is made. With three of them and the prefix a name stays below the 255 characters that
	// github.com/distribution/reference allows.
	maxComponent = 60
	// hashDigits is how many hexadecimal digits keep names apart that would otherwise be made equal.
	hashDigits = 8
)

// hashed matches what could have been given a hash.
var hashed = regexp.MustCompile(`-[0-9a-f]{8}$`)

// component makes one component of a repository name of s (github.com/distribution/reference: lower-case letters and digits, with single
// separators between them). Where that changes s, or s is too long or looks as if it had been changed, it ends in a hash of s.
func component(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case r == '.' || r == '_' || r == '-':
			b.WriteRune(r)
		default:
			b.WriteByte('-')
		}
	}
	c := single(b.String())
	if c == s && c != "" && len(c) <= maxComponent && !hashed.MatchString(c) {
		return c
	}
	c = strings.TrimRight(c[:min(len(c), maxComponent-hashDigits-1)], "._-")
	if c == "" {
		return "x-" + hashOf(s)
	}
	return c + "-" + hashOf(s)
}

// single keeps the first of each run of separators, and none at the ends.
func single(s string) string {
	var b strings.Builder
	for i := range len(s) {
		separator := strings.IndexByte("._-", s[i]) >= 0
		if separator && (b.Len() == 0 || strings.IndexByte("._-", s[i-1]) >= 0) {
			continue
		}
		b.WriteByte(s[i])
	}
	return strings.TrimRight(b.String(), "._-")
}

// hashOf is long enough to keep names apart that nobody chooses to be equal.
func hashOf(s string) string { return fullHash(s)[:hashDigits] }

// fullHash is for what must stay apart whoever chooses it.
func fullHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// repositoryOf returns the name of the repository for a service's images, without the registry: "vitrine-<instance>/acme/shop/web".
func (b *Builder) repositoryOf(repo, service string) string {
	owner, name, found := strings.Cut(repo, "/")
	if !found {
		return b.prefix + component(repo) + "/" + component(service)
	}
	return b.prefix + component(owner) + "/" + component(name) + "/" + component(service)
}

// commitTag is the tag of an environment's image at a commit: "shop-pr-42.3f2a91c0d4e5".
func commitTag(environment string, s deployments.Source) string {
	return component(environment) + "." + s.SHA[:min(12, len(s.SHA))]
}

// idTag is the tag that always means the image with this ID.
func idTag(imageID string) string { return "id-" + strings.TrimPrefix(imageID, "sha256:") }

// onEngine returns a reference of ours as the engine knows it, with the registry.
func (b *Builder) onEngine(reference string) string { return b.config.Registry + "/" + reference }

// ours returns the reference without the registry where it is one of this instance.
func (b *Builder) ours(onEngine string) (string, bool) {
	reference, found := strings.CutPrefix(onEngine, b.config.Registry+"/")
	return reference, found && strings.HasPrefix(reference, b.prefix)
}
