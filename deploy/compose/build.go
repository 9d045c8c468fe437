package compose

import (
	"errors"
	"path"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deployments"
)

// builds adds the build of a service, if its files are there and inside the checkout.
func (r *reading) builds(service string, project *types.Project, c types.BuildConfig) {
	b := deployments.Build{
		Service: service,
		Target:  c.Target,
		Inline:  c.DockerfileInline,
		Args:    withVars(r.pairs(service, "build.args", c.Args), r.args),
		Secrets: r.buildSecrets(service, project, c.Secrets),
	}
	field := r.nearest(service, "build", "context")
	b.Context = path.Join(r.folder, c.Context)
	switch {
	case remote(c.Context):
		r.wrong(field, "Name a folder of the repository", "%s is a remote context, which is not allowed in a preview", shown(c.Context))
		return
	case leavesHome(c.Context) || !filepath.IsLocal(b.Context):
		r.wrong(field, "Name a folder inside it, relative to the compose file", "%s lies outside of the repository", shown(c.Context))
		return
	}
	if err := r.files.IsDir(b.Context); err != nil {
		r.broken(field, err)
		return
	}
	if b.Inline == "" && !r.dockerfile(r.nearest(service, "build", "dockerfile"), c.Dockerfile, &b) {
		return
	}
	if b.Inline != "" && c.Dockerfile != "" {
		r.wrong(r.field(service, "build.dockerfile"), "Keep one", "dockerfile and dockerfile_inline exclude each other")
		return
	}
	r.build = append(r.build, b)
}

// dockerfile sets the build's Dockerfile, which has to lie in the context.
func (r *reading) dockerfile(f field, name string, b *deployments.Build) bool {
	b.Dockerfile = path.Clean(name)
	if path.IsAbs(name) || !filepath.IsLocal(b.Dockerfile) {
		r.wrong(f, "Widen the context or move the file", "the Dockerfile %s lies outside of the build's context", shown(name))
		return false
	}
	if err := r.files.IsFile(path.Join(b.Context, b.Dockerfile)); err != nil {
		r.broken(f, err)
		return false
	}
	return true
}

// broken adds what is wrong with a file that a field names. Where the reason is ours, the reading as a whole fails with it.
func (r *reading) broken(f field, err error) {
	if bad, ok := errors.AsType[*checkout.Problem](err); ok {
		r.wrong(f, "", "%s", bad.Reason)
		return
	}
	r.failed = errors.Join(r.failed, err)
}

// remote reports whether compose would take a context for something to be fetched. A folder of such a name cannot be meant.
func remote(context string) bool {
	for _, prefix := range []string{"git@", "github.com/"} {
		if strings.HasPrefix(context, prefix) {
			return true
		}
	}
	return strings.Contains(context, "://")
}
