package compose

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy/compose/internal/document"
)

// What a file of variables may hold. compose-go puts variables into values, so that each could be twice the one before.
const (
	maxVariables     = 64 << 10 // bytes of the file
	maxVariableMarks = 1000     // $ in it
	maxVariablesRead = 1 << 20  // bytes that come out of its variables
)

var environmentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// environment returns the variables of a service: what the file says of it, below that the variables that the server has for it, and below these
// what its files of variables say.
func (r *reading) environment(service string, c types.ServiceConfig) map[string]string {
	all := map[string]string{}
	for i, file := range c.EnvFiles {
		f := r.item(service, "env_file", i, len(c.EnvFiles), file.Path)
		name, ok := r.path(f, file.Path, "Copy it into the repository, or set its variables with `vitrine env set`")
		if !ok {
			continue
		}
		there, ok := r.there(f, name)
		if ok && !there && bool(file.Required) {
			r.findings.LeaveOut(service, "env_file "+shown(file.Path)+" is not in the repository", "the variables that the server has for it stand in")
		}
		if !there {
			continue
		}
		r.readVariables(name, file.Format, func(name string) (string, bool) { return r.variables.lookup(name) }, all, f.at)
	}
	for name := range all {
		if !environmentName.MatchString(name) {
			delete(all, name)
		}
	}
	maps.Copy(all, r.vars)
	maps.Copy(all, r.pairs(service, "environment", c.Environment))
	return all
}

// pairs returns the variables of a list or mapping. Those that have no value here and no value of the server's are left out.
func (r *reading) pairs(service, path string, values types.MappingWithEquals) map[string]string {
	all := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !environmentName.MatchString(name) {
			r.wrong(r.field(service, path), "Write NAME=value", "%q is no name of a variable", shown(name))
			continue
		}
		if v := values[name]; v != nil {
			all[name] = *v
		}
	}
	return all
}

// path returns a path of the checkout that a field names, if it lies inside.
func (r *reading) path(f field, name, instead string) (string, bool) {
	at := path.Join(r.folder, name)
	if leavesHome(name) || remote(name) || at == ".." || strings.HasPrefix(at, "../") {
		r.wrong(f, instead, "%s lies outside of the repository, and nothing there is read", shown(name))
		return "", false
	}
	return at, true
}

// there reports whether anything lies at a path of the checkout, and whether that is known: else there is a finding.
func (r *reading) there(f field, name string) (there, ok bool) {
	err := r.files.Lies(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.broken(f, err)
		return false, false
	}
	return err == nil, true
}

// readVariables adds the variables of a file to those that are there. format is compose's: empty for values with quotes and variables, "raw" for
// values as they are.
func (a *assembly) readVariables(name, format string, look lookup, all map[string]string, at spot) {
	content, err := a.files.Read(name)
	if err != nil {
		a.unreadable(err, at, name)
		return
	}
	wrong := func(text string) { a.findings.refuse(at, "env_file", "", name+": "+text) }
	switch {
	case len(content) > maxVariables || bytes.Count(content, []byte("$")) > maxVariableMarks:
		wrong(fmt.Sprintf("a file of variables may have %d bytes and use variables %d times", maxVariables, maxVariableMarks))
		return
	case bytes.IndexByte(content, 0) >= 0:
		wrong("it holds a NUL character")
		return
	case format == "raw":
		rawVariables(content, all)
		return
	case format != "":
		wrong(fmt.Sprintf("the format %q is not known; leave it out, or write raw", shown(format)))
		return
	}
	used := 0
	err = document.Guarded(func() error {
		return dotenv.ParseWithFormat(bytes.NewReader(content), name, all, func(name string) (string, bool) {
			value, ok := look(name)
			if !ok {
				value, ok = all[name]
			}
			if used += len(value); used > maxVariablesRead {
				return "", true
			}
			return value, ok
		}, "")
	})
	switch {
	case used > maxVariablesRead:
		wrong(fmt.Sprintf("with its variables put in it has more than %d bytes", maxVariablesRead))
	case err != nil:
		wrong("this is no file of variables: " + shown(strings.TrimPrefix(err.Error(), "failed to read "+name+": ")))
	}
}

// rawVariables reads NAME=value, a line each, as `docker run --env-file` does. Names without a value are left out.
func rawVariables(content []byte, all map[string]string) {
	lines := bufio.NewScanner(bytes.NewReader(content))
	lines.Buffer(nil, len(content)+1)
	for lines.Scan() {
		line := strings.TrimLeft(lines.Text(), " \t")
		if name, value, ok := strings.Cut(line, "="); ok && !strings.HasPrefix(line, "#") {
			all[name] = value
		}
	}
}
