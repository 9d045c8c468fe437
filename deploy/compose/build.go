package compose

import (
	"errors"
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deployments"
)

// maxContextName is how long the name of a build's further folder may be.
const maxContextName = 63

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
	var ok bool
	if b.Context, ok = r.context(field, c.Context); !ok {
		return
	}
	named := r.contexts(&b, c.AdditionalContexts)
	if b.Inline == "" && !r.dockerfile(r.nearest(service, "build", "dockerfile"), c.Dockerfile, &b) {
		return
	}
	if b.Inline != "" && c.Dockerfile != "" {
		r.wrong(r.field(service, "build.dockerfile"), "Keep one", "dockerfile and dockerfile_inline exclude each other")
		return
	}
	if named {
		r.build = append(r.build, b)
	}
}

// context returns the folder of the checkout that is meant.
func (r *reading) context(f field, context string) (folder string, ok bool) {
	folder = path.Join(r.folder, context)
	switch {
	case remote(context):
		r.wrong(f, "Name a folder of the repository", "%s is a remote context, which is not allowed in a preview", shown(context))
		return "", false
	case leavesHome(context) || !filepath.IsLocal(folder):
		r.wrong(f, "Name a folder inside it, relative to the compose file", "%s lies outside of the repository", shown(context))
		return "", false
	}
	if err := r.files.IsDir(folder); err != nil {
		r.broken(f, err)
		return "", false
	}
	return folder, true
}

// contextName is what a further folder of a build may be called. BuildKit takes whatever an image may be called too; this could be no image of a registry.
var contextName = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*$`)

// contexts sets the build's further folders. Where something is wrong, all of it is said.
func (r *reading) contexts(b *deployments.Build, named types.Mapping) bool {
	ok := true
	for _, name := range slices.Sorted(maps.Keys(named)) {
		f := r.nearest(b.Service, "build", "additional_contexts", name)
		if f.path == "build.additional_contexts" {
			f = r.item(b.Service, f.path, -1, 0, name+"=")
		}
		folder, there := "", false
		switch {
		case len(name) > maxContextName || !contextName.MatchString(name):
			r.wrong(f, "Write one such as assets", "%q cannot be the name of a context: it has lower-case letters and digits, with single -, _ or . in between, at most %d in all",
				shown(name), maxContextName)
		case named[name] == "":
			r.wrong(f, "Name a folder of the repository", "the context %s has no folder", name)
		case strings.HasPrefix(named[name], "service:"):
			r.wrong(f, "COPY the files from a folder of the repository, or build both in one Dockerfile with two stages", "%s, the image of another service, is not supported yet", shown(named[name]))
		default:
			folder, there = r.context(f, named[name])
		}
		if ok = ok && there; !ok {
			continue
		}
		if b.Contexts == nil {
			b.Contexts = make(map[string]string, len(named))
		}
		b.Contexts[name] = folder
	}
	return ok
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
