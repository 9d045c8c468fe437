package builder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"vitrine/deployments"
)

const (
	// inlineName stands for a Dockerfile whose text is in the compose file, under the key of that name.
	inlineName = "dockerfile_inline"
	ignoreName = ".dockerignore"
	// maxDockerfile is the largest Dockerfile that is read, in bytes.
	maxDockerfile = 1 << 20
)

// A recipe is what a build is made from: a folder of the checkout and a Dockerfile's text.
type recipe struct {
	name       string            // the Dockerfile, for people: "api/Dockerfile"
	context    string            // the folder, absolute and without symbolic links
	contexts   map[string]string // further folders, like it, by name
	dockerfile []byte
	ignore     []byte // of the Dockerfile's own .dockerignore, nil where it has none
	args       map[string]string
	own        map[string]bool // full names of images that this server itself puts in, which a Dockerfile may not name otherwise
}

// readRecipe finds a build's files in the checkout. Neither `..` nor symbolic links lead out of it. What is wrong is a Fault. A folder that is served as it
// is has no Dockerfile yet.
func readRecipe(checkout string, build deployments.Build) (*recipe, error) {
	root, err := os.OpenRoot(checkout)
	if err != nil {
		return nil, fmt.Errorf("open the checkout: %w", err)
	}
	defer root.Close()
	r := &recipe{}
	folder := path.Clean(build.Context)
	if build.Context == "" {
		folder = "."
	}
	if r.context, err = r.openContext(root, checkout, folder); err != nil {
		return nil, err
	}
	if err := r.openContexts(root, checkout, build.Contexts); err != nil {
		return nil, err
	}
	if build.Static {
		r.name = folder
		return r, nil
	}
	if err := r.readDockerfile(root, folder, build); err != nil {
		return nil, err
	}
	if err := r.checkIgnore(root, folder); err != nil {
		return nil, err
	}
	parsed, err := parser.Parse(bytes.NewReader(r.dockerfile))
	if err != nil {
		return nil, r.parseFault(err)
	}
	r.args = declared(parsed.AST, build.Args)
	return r, nil
}

// openContext returns where the folder lies, absolute and without symbolic links.
func (r *recipe) openContext(root *os.Root, checkout, folder string) (string, error) {
	info, err := root.Stat(filepath.FromSlash(folder))
	if err != nil {
		return "", r.pathFault(folder, "the build's context", err)
	}
	if !info.IsDir() {
		return "", configFault(folder, "the build's context is not a folder")
	}
	// Nobody else writes to the checkout: what was inside a moment ago still is.
	dir, err := filepath.EvalSymlinks(filepath.Join(checkout, filepath.FromSlash(folder)))
	if err != nil {
		return "", fmt.Errorf("find the build's context: %w", err)
	}
	return dir, nil
}

// openContexts finds the further folders. Each may have a list of files to leave out, which has no other place than the folder itself.
func (r *recipe) openContexts(root *os.Root, checkout string, folders map[string]string) (err error) {
	r.contexts = make(map[string]string, len(folders))
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		folder := path.Clean(folders[name])
		if r.contexts[name], err = r.openContext(root, checkout, folder); err != nil {
			return err
		}
		if err := r.checkIgnoreIn(root, folder); err != nil {
			return err
		}
	}
	return nil
}

func (r *recipe) readDockerfile(root *os.Root, folder string, build deployments.Build) error {
	if build.Inline != "" {
		r.name, r.dockerfile = inlineName, []byte(build.Inline)
		return nil
	}
	file := build.Dockerfile
	if file == "" {
		file = "Dockerfile"
	}
	if !filepath.IsLocal(filepath.FromSlash(file)) {
		return configFault(file, "the Dockerfile has to lie in the build's context")
	}
	r.name = path.Join(folder, file)
	text, err := readSmall(root, r.name)
	if errors.Is(err, fs.ErrNotExist) && path.Base(file) == "Dockerfile" {
		// The engine's own builder takes the lower-case name as well.
		lower := path.Join(path.Dir(r.name), "dockerfile")
		if text, err2 := readSmall(root, lower); err2 == nil {
			r.name, r.dockerfile = lower, text
			return nil
		}
	}
	if err != nil {
		return r.pathFault(r.name, "the Dockerfile", err)
	}
	r.dockerfile = text
	r.ignore, err = readSmall(root, r.name+ignoreName)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return r.pathFault(r.name+ignoreName, "the list of files to leave out", err)
	}
	return nil
}

// checkIgnore reads the patterns that leave files out, as BuildKit will, so that a bad one is named with its file.
func (r *recipe) checkIgnore(root *os.Root, folder string) error {
	if r.ignore == nil {
		return r.checkIgnoreIn(root, folder)
	}
	return checkPatterns(r.name+ignoreName, r.ignore)
}

// checkIgnoreIn reads those that stand in a folder itself, if there are any.
func (r *recipe) checkIgnoreIn(root *os.Root, folder string) error {
	name := path.Join(folder, ignoreName)
	text, err := readSmall(root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return r.pathFault(name, "the list of files to leave out", err)
	}
	return checkPatterns(name, text)
}

func checkPatterns(name string, text []byte) error {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(text))
	if err == nil {
		_, err = patternmatcher.New(patterns)
	}
	if err != nil {
		return configFault(name, "a pattern cannot be read: "+err.Error())
	}
	return nil
}

// readSmall reads a regular file of the checkout.
func readSmall(root *os.Root, name string) ([]byte, error) {
	name = filepath.FromSlash(name)
	info, err := root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	if info.Size() > maxDockerfile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxDockerfile)
	}
	return root.ReadFile(name)
}

func (r *recipe) pathFault(name, what string, err error) error {
	var p *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return configFault(name, what+" is not there")
	case errors.As(err, &p):
		// Of what os.Root says, only the cause means something to people: "path escapes from parent".
		return configFault(name, what+" cannot be used: "+p.Err.Error())
	default:
		return configFault(name, what+" cannot be used: "+err.Error())
	}
}

func (r *recipe) parseFault(err error) error {
	f := buildFault("the Dockerfile cannot be read: " + lastOf(err, nil))
	f.Where = r.name
	if line := r.lineOf(err); line > 0 {
		f.Where = fmt.Sprintf("%s:%d", r.name, line)
	}
	return f
}

func configFault(where, reason string) *deployments.Fault {
	f := buildFault(reason)
	f.Where = where
	return f
}

// declared returns those of the arguments that an ARG of the Dockerfile names. The others would only spoil the cache, and those of BuildKit would
// steer the build (BuildKit, frontend/dockerui/config.go).
func declared(ast *parser.Node, args map[string]string) map[string]string {
	out := map[string]string{}
	for _, node := range ast.Children {
		if !strings.EqualFold(node.Value, "arg") {
			continue
		}
		for n := node.Next; n != nil; n = n.Next {
			name, _, _ := strings.Cut(n.Value, "=")
			if value, ok := args[name]; ok && !reserved(name) {
				out[name] = value
			}
		}
	}
	return out
}

// reserved reports whether BuildKit gives the argument a meaning of its own.
func reserved(name string) bool {
	if strings.HasPrefix(name, "BUILDKIT_") {
		return true
	}
	for _, side := range []string{"TARGET", "BUILD"} {
		switch strings.TrimPrefix(name, side) {
		case "PLATFORM", "OS", "ARCH", "VARIANT", "STAGE":
			return true
		}
	}
	return false
}
