package builder

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"

	"vitrine/deployments"
)

// permissionAge is how long a registry's consent is remembered.
const permissionAge = time.Hour

// A permission says which images a Dockerfile may name. Its methods may be called side by side.
type permission struct {
	rule deployments.ImageRule
	now  func() time.Time
	// ask returns nil where the image's registry gives it, a Fault where it does not, and any other error where the engine cannot be asked.
	ask func(ctx context.Context, image string) error

	mu      sync.Mutex
	granted map[string]time.Time // by image, when
}

func newPermission(rule deployments.ImageRule, now func() time.Time, ask func(context.Context, string) error) *permission {
	return &permission{rule: rule, now: now, ask: ask, granted: map[string]time.Time{}}
}

// check returns nil where the image may be used, a Fault where it may not, and any other error where that could not be found out. The image is a
// reference in whatever form.
func (p *permission) check(ctx context.Context, image string) error {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return imageFault(fmt.Sprintf("%q is not the name of an image", image))
	}
	verdict, reason := p.judge(reference.TagNameOnly(named))
	switch verdict {
	case deployments.VerdictTrusted:
		return nil
	case deployments.VerdictAsk:
		return p.consent(ctx, reference.FamiliarString(reference.TagNameOnly(named)))
	default:
		return imageFault(reason)
	}
}

// trusted reports whether the operator trusts the image, whoever gives it.
func (p *permission) trusted(named reference.Named) bool {
	verdict, _ := p.judge(reference.TagNameOnly(named))
	return verdict == deployments.VerdictTrusted
}

// judge holds the rule against the image as people write it, with and without the tag that stands for none. Only names come here: BuildKit looks
// no image up by its ID, but a name that could be one is refused all the same.
func (p *permission) judge(named reference.Named) (deployments.Verdict, string) {
	full := reference.FamiliarString(named)
	short := strings.TrimSuffix(full, ":latest")
	verdict, reason := p.rule.Judge(full)
	if verdict == deployments.VerdictTrusted {
		return verdict, ""
	}
	if v, r := p.rule.Judge(short); v != deployments.VerdictAsk {
		verdict, reason = v, r
	}
	return verdict, reason
}

// consent asks the image's registry, unless it consented a short while ago.
func (p *permission) consent(ctx context.Context, image string) error {
	p.mu.Lock()
	at, ok := p.granted[image]
	p.mu.Unlock()
	if ok && p.now().Sub(at) < permissionAge {
		return nil
	}
	if err := p.ask(ctx, image); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for image, at := range p.granted {
		if p.now().Sub(at) >= permissionAge {
			delete(p.granted, image)
		}
	}
	p.granted[image] = p.now()
	return nil
}

func imageFault(reason string) *deployments.Fault {
	return &deployments.Fault{Kind: deployments.FaultBuild, Reason: reason}
}
