package compose

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"

	"vitrine/deploy"
	"vitrine/deploy/compose/internal/checkout"
)

// maxContent is the most bytes of a config or a secret that does not lie in the checkout.
const maxContent = 500 << 10 // as of Docker's configs

// configs adds the service's configs, which lie at /<name> unless it says otherwise (compose specification, "configs").
func (r *reading) configs(s *deploy.Service, project *types.Project, c types.ServiceConfig) {
	for i, ref := range c.Configs {
		f := r.item(s.Name, "configs", i, len(c.Configs), ref.Source)
		declared, ok := project.Configs[ref.Source]
		r.file(f, s, types.FileReferenceConfig(ref), types.FileObjectConfig(declared), ok, "/")
	}
}

// secrets adds the service's secrets, which lie at /run/secrets/<name> unless it says otherwise (compose specification, "secrets").
func (r *reading) secrets(s *deploy.Service, project *types.Project, c types.ServiceConfig) {
	for i, ref := range c.Secrets {
		f := r.item(s.Name, "secrets", i, len(c.Secrets), ref.Source)
		declared, ok := project.Secrets[ref.Source]
		r.file(f, s, types.FileReferenceConfig(ref), types.FileObjectConfig(declared), ok, "/run/secrets/")
	}
}

func (r *reading) file(f field, s *deploy.Service, ref types.FileReferenceConfig, declared types.FileObjectConfig, ok bool, folder string) {
	kind, _, _ := strings.Cut(f.path, "[")
	if !ok {
		r.wrong(f, fmt.Sprintf("Add it under the top-level `%s:`", kind), "there is none called %q", shown(ref.Source))
		return
	}
	target := ref.Target
	if target == "" {
		target = ref.Source
	}
	if !path.IsAbs(target) {
		target = path.Join(folder, target)
	}
	target, ok = r.target(f, s, target)
	if !ok || !r.seen(f, target) {
		return
	}
	file := deploy.File{Target: target, UID: r.id(f, ref.UID), GID: r.id(f, ref.GID)}
	if ref.Mode != nil {
		if *ref.Mode < 0 || *ref.Mode > 0o7777 {
			r.wrong(f, "Write one such as 0440", "the mode is no permission bits")
		}
		file.Mode = uint32(*ref.Mode)
	}
	if r.content(f, &file, kind, ref.Source, declared) {
		s.Files = append(s.Files, file)
	}
}

// content sets where a file's content comes from.
func (r *reading) content(f field, file *deploy.File, kind, name string, declared types.FileObjectConfig) bool {
	at := field{f.service, f.path, r.at(kind, name)}
	switch {
	case declared.File != "":
		source, ok := r.path(at, declared.File, "Copy it into the repository, or write `environment:` with the name of a variable")
		if !ok {
			return false
		}
		if err := r.files.IsFile(source); err != nil {
			r.broken(at, err)
			return false
		}
		file.Source = source
		file.Sum, ok = r.sum(at, source)
		return ok
	case declared.Environment != "":
		value, ok := r.variable(at, declared.Environment)
		if !ok {
			return false
		}
		file.Content = value
	default:
		file.Content = []byte(declared.Content)
	}
	if len(file.Content) > maxContent {
		r.wrong(at, "Put it into a file of the repository", "it has more than %d bytes", maxContent)
		return false
	}
	if file.Content == nil {
		file.Content = []byte{}
	}
	return true
}

// variable returns the value of a variable that a secret or a config names, which has to be there.
func (r *reading) variable(at field, name string) ([]byte, bool) {
	value, ok := r.vars[name]
	switch {
	case ok:
	case r.forgiving:
		r.variables.require(name)
	case r.fork:
		r.wrong(at, fmt.Sprintf("Give it a value for forks under `env:` in .vitrine.yml, such as `%s: {fork: dummy}`", shown(name)),
			"the variable %s has no value for a fork", shown(name))
		return nil, false
	default:
		r.wrong(at, fmt.Sprintf("Set it with `vitrine env set`, or under `env:` in .vitrine.yml: %s", shown(name)),
			"the variable %s has no value here", shown(name))
		return nil, false
	}
	return []byte(value), true
}

// id reads a number of a user or a group. Their names are the image's to know.
func (r *reading) id(f field, text string) int {
	if text == "" {
		return 0
	}
	id, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		r.wrong(f, "Write the number", "%q is no number of a user or group", shown(text))
	}
	return int(id)
}

// sum identifies what lies at a path of the checkout, and counts it against what may be copied in.
func (r *reading) sum(f field, name string) (string, bool) {
	if sum, ok := r.sums[name]; ok {
		return sum, true
	}
	sum, err := r.files.Sum(name, &r.tally)
	switch {
	case err == nil:
		r.sums[name] = sum
		return sum, true
	case r.forgiving && errors.Is(err, checkout.ErrTooLarge):
		// A developer's folder has more in it than the repository.
		r.findings.LeaveOut(f.service, shown(name)+" has more than may be copied in", "a deploy has what is in git alone, which may be less")
		return "", true
	}
	r.broken(f, err)
	return "", false
}

// settle brings together what the engine cannot do at once.
func (r *reading) settle(s *deploy.Service, c types.ServiceConfig) {
	for _, file := range s.Files {
		for _, t := range s.Tmpfs {
			if strings.HasPrefix(file.Target+"/", t.Target+"/") {
				r.wrong(r.tmpfsField(s.Name, c, t.Target), "Put the file elsewhere, or remove the tmpfs",
					"%s would hide %s, which is copied in before it is there", shown(t.Target), shown(file.Target))
			}
		}
	}
	if s.ReadOnly && len(s.Files) > 0 {
		s.ReadOnly = false
		r.findings.LeaveOut(s.Name, "read_only is left out", "files are copied into the container, which a read-only one does not take")
	}
}

// seen reports whether a container sees what is copied to the target before it starts. It has folders and files of its own, which the engine puts over it.
func (r *reading) seen(f field, target string) bool {
	switch target {
	case "/etc/hosts", "/etc/hostname", "/etc/resolv.conf":
		r.findings.LeaveOut(f.service, target+" is left out", "the engine writes that file for each container; services find each other by their names")
		return false
	}
	for _, own := range []string{"/dev", "/proc", "/sys"} {
		if strings.HasPrefix(target+"/", own+"/") {
			r.wrong(f, "Put it elsewhere, such as below /run", "%s would be hidden: every container gets %s of its own when it starts", shown(target), own)
			return false
		}
	}
	return true
}

// tmpfsField returns where a tmpfs is written.
func (r *reading) tmpfsField(service string, c types.ServiceConfig, target string) field {
	for i, t := range c.Tmpfs {
		if at, _, _ := strings.Cut(t, ":"); path.Clean(at) == target {
			return r.item(service, "tmpfs", i, len(c.Tmpfs), at)
		}
	}
	for i, v := range c.Volumes {
		if v.Type == types.VolumeTypeTmpfs && path.Clean(v.Target) == target {
			return r.item(service, "volumes", i, len(c.Volumes), v.Target)
		}
	}
	return r.field(service, "tmpfs")
}
