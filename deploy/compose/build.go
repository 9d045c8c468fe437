package compose

import (
	"errors"
	"path"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deployments"
)

// builds adds the build of a service, if its files are there and inside the checkout.
func (r *reading) builds(service string, c types.BuildConfig) {
	b := deployments.Build{
		Service: service,
		Target:  c.Target,
		Inline:  c.DockerfileInline,
		Args:    withVars(r.environment(service, "build.args", c.Args), r.args),
	}
	field := "build"
	if r.line(service, "build", "context") != r.line(service, "build") {
		field = "build.context"
	}
	b.Context = path.Join(r.folder, c.Context)
	switch {
	case remote(c.Context):
		r.wrong(service, field, "%s is a remote context, which is not allowed in a preview. Name a folder of the repository", shown(c.Context))
		return
	case path.IsAbs(c.Context) || strings.HasPrefix(c.Context, "~") || strings.Contains(c.Context, `\`) || !filepath.IsLocal(b.Context):
		r.wrong(service, field, "%s lies outside of the repository. Name a folder inside it, relative to the compose file", shown(c.Context))
		return
	}
	if err := r.files.isDir(b.Context); err != nil {
		r.unreadable(service, field, err)
		return
	}
	if b.Inline == "" && !r.dockerfile(service, field, c.Dockerfile, &b) {
		return
	}
	if b.Inline != "" && c.Dockerfile != "" {
		r.wrong(service, "build.dockerfile", "dockerfile and dockerfile_inline exclude each other; keep one")
		return
	}
	r.build = append(r.build, b)
}

// dockerfile sets the build's Dockerfile, which has to lie in the context.
func (r *reading) dockerfile(service, field, name string, b *deployments.Build) bool {
	if r.doc.get("services").get(service).get("build").get("dockerfile") != nil {
		field = "build.dockerfile"
	}
	b.Dockerfile = path.Clean(name)
	if path.IsAbs(name) || !filepath.IsLocal(b.Dockerfile) {
		r.wrong(service, field, "the Dockerfile %s lies outside of the build's context. Widen the context or move the file", shown(name))
		return false
	}
	if err := r.files.isFile(path.Join(b.Context, b.Dockerfile)); err != nil {
		r.unreadable(service, field, err)
		return false
	}
	return true
}

// unreadable adds what is wrong with a file. Where the reason is ours, the reading as a whole fails with it.
func (r *reading) unreadable(service, field string, err error) {
	if bad, ok := errors.AsType[*errFile](err); ok {
		r.wrong(service, field, "%s", bad.reason)
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
