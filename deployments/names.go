package deployments

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxLabel is the longest label of a host name (RFC 1035 §2.3.4).
const maxLabel = 63

// hashLength is how many hexadecimal digits tell apart names that would make the same label.
const hashLength = 6

// A Name is a label that something would like to have for good, and the one that it takes when another has it already.
type Name struct {
	Owner string // what the label is reserved for; see Origin.Key
	Label string
	// Fallback is Label with a hash of the Owner.
	Fallback string
}

// SlugOf returns the name of a repository in labels: "acme/shop" is "shop", or "acme-shop" where another repository was first.
func SlugOf(repo string) Name {
	_, name, _ := strings.Cut(repo, "/")
	return Name{Owner: repo, Label: label(repo, name), Fallback: label(repo, repo)}
}

// NameOf returns the name of the origin's environment: "shop-pr-42", "shop-main" or the name given by hand. slug is the repository's.
func NameOf(o Origin, slug string) Name {
	switch {
	case o.PullRequest != 0:
		return nameFor(o.Key(), fmt.Sprintf("%s-pr-%d", slug, o.PullRequest))
	case o.Branch != "":
		return BranchName(o.Repo, slug, o.Branch)
	default:
		return nameFor(o.Key(), o.Name)
	}
}

// BranchName returns the name that a branch has for good: "shop-feature-login".
func BranchName(repo, slug, branch string) Name {
	return nameFor(BranchKey(repo, branch), slug+"-"+branch)
}

// ServiceName returns the name of a further public service of an environment: "api-shop-pr-42". first is what it begins with: the service's name, or what
// .vitrine.yml says in its place. The label belongs to that, not to the service.
func ServiceName(environment, first string) Name {
	return nameFor(environment+"/"+first, first+"-"+environment)
}

func nameFor(owner, full string) Name {
	return Name{Owner: owner, Label: label(owner, full), Fallback: fit(dashed(full), hashOf(owner))}
}

// label makes a host's label of full: letters, digits and single dashes, at most 63 (RFC 1035 §2.3.1; single dashes keep clear of RFC 5890's
// "--" in places 3 and 4). What does not fit, or leaves nothing, ends in the hash of owner.
func label(owner, full string) string {
	l := dashed(full)
	if l == "" || len(l) > maxLabel || foreign(full) {
		return fit(l, hashOf(owner))
	}
	return l
}

// foreign reports whether full holds letters that a label cannot spell, so that it would lose more than punctuation.
func foreign(full string) bool {
	return strings.IndexFunc(full, func(r rune) bool { return r > 0x7f }) >= 0
}

// fit puts the hash behind l and cuts l to leave room for it.
func fit(l, hash string) string {
	l = strings.TrimRight(l[:min(len(l), maxLabel-hashLength-1)], "-")
	if l == "" {
		return "x" + hash
	}
	return l + "-" + hash
}

// dashed lower-cases s and puts one dash for each run of anything that is not a letter or a digit, none at the ends.
func dashed(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	return strings.TrimRight(b.String(), "-")
}

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])[:hashLength]
}
