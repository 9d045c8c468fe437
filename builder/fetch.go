package builder

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"vitrine/deployments"
)

// checkoutPrefix begins the names of the folders that hold a checkout.
const checkoutPrefix = "checkout-"

var commitName = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Fetch implements [deployments.Builder]. The files have the modes and the symbolic links that the commit says; there is no .git among them. An error
// that is ours says who is waited for.
func (b *Builder) Fetch(ctx context.Context, r deployments.Remote, o deployments.Origin, s deployments.Source) (*deployments.Checkout, error) {
	if !commitName.MatchString(s.SHA) {
		return nil, &deployments.Fault{
			Kind:   deployments.FaultFetch,
			Reason: fmt.Sprintf("%q is no commit: one is named by 40 hexadecimal digits", s.SHA),
		}
	}
	m := b.mirrorOf(s.Repo)
	if err := b.fetchInto(ctx, m, r, o, s); err != nil {
		return nil, fmt.Errorf("fetch %s at %s: %w", s.Repo, s.ShortSHA(), away(ctx, waitsForFolder, err))
	}
	c, err := b.checkout(ctx, m, s)
	if err != nil {
		return nil, fmt.Errorf("check out %s at %s: %w", s.Repo, s.ShortSHA(), away(ctx, waitsForFolder, err))
	}
	return c, nil
}

// checkout writes the commit's files into a new folder. An index of its own lets several run side by side over one mirror.
func (b *Builder) checkout(ctx context.Context, m *mirror, s deployments.Source) (_ *deployments.Checkout, err error) {
	parent, err := os.MkdirTemp(b.config.CheckoutDir, checkoutPrefix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(parent))
		}
	}()
	tree, index := filepath.Join(parent, "tree"), filepath.Join(parent, "index")
	if err := os.Mkdir(tree, 0o755); err != nil {
		return nil, err
	}
	g := b.git(m)
	g.variables = []string{"GIT_WORK_TREE=" + tree, "GIT_INDEX_FILE=" + index}
	if err := g.run(ctx, "read-tree", "--reset", "-u", s.SHA); err != nil {
		return nil, unusable(err)
	}
	if err := os.Remove(index); err != nil {
		return nil, err
	}
	remove := sync.OnceValue(func() error { return os.RemoveAll(parent) })
	return &deployments.Checkout{Dir: tree, Close: remove}, nil
}

// unusable tells commits that git will not check out, such as one with a file called .git, from troubles of ours.
func unusable(err error) error {
	var e *gitError
	if errors.As(err, &e) && strings.Contains(e.stderr, "invalid path") {
		return &deployments.Fault{
			Kind:   deployments.FaultFetch,
			Reason: "the commit cannot be checked out: " + strings.Join(strings.Fields(e.stderr), " "),
		}
	}
	return err
}
