package compose

import (
	"regexp"

	"github.com/compose-spec/compose-go/v2/types"
)

// maxSecrets is how many secrets a build may have.
const maxSecrets = 50

// secretID is what a Dockerfile may name a secret by: it stands within an option of RUN.
var secretID = regexp.MustCompile(`^[^\s,=]{1,128}$`)

// buildSecrets returns what serves a build as secrets. A Dockerfile names each by its target, or else as the compose file does (compose specification,
// "build: secrets"). Whose they are and who may read them, the RUN says that mounts them.
func (r *reading) buildSecrets(service string, project *types.Project, refs []types.ServiceSecretConfig) map[string][]byte {
	if len(refs) == 0 {
		return nil
	}
	if r.fork {
		r.findings.LeaveOut(service, "build.secrets is left out", "the builds of a fork's code get none")
		return nil
	}
	if len(refs) > maxSecrets {
		r.wrong(r.field(service, "build.secrets"), "", "there are %d secrets; a build may have %d", len(refs), maxSecrets)
		return nil
	}
	secrets := map[string][]byte{}
	for i, ref := range refs {
		f := r.item(service, "build.secrets", i, len(refs), ref.Source)
		declared, ok := project.Secrets[ref.Source]
		id := ref.Target
		if id == "" {
			id = ref.Source
		}
		_, twice := secrets[id]
		switch {
		case !ok:
			r.wrong(f, "Add it under the top-level `secrets:`", "there is none called %q", shown(ref.Source))
			continue
		case !secretID.MatchString(id):
			r.wrong(f, "Write the one that the Dockerfile has in `RUN --mount=type=secret,id=...`", "%q is no ID of a secret", shown(id))
			continue
		case twice:
			r.wrong(f, "Keep one", "there are two of the ID %s", shown(id))
			continue
		}
		if ref.UID != "" || ref.GID != "" || ref.Mode != nil {
			r.findings.LeaveOut(service, "uid, gid and mode of build.secrets are left out", "the RUN that mounts a secret says these, as in `--mount=type=secret,id=x,mode=0400`")
		}
		if value, ok := r.secretValue(field{service, f.path, r.at("secrets", ref.Source)}, types.FileObjectConfig(declared)); ok {
			secrets[id] = value
		}
	}
	return secrets
}

// secretValue returns what a secret holds.
func (r *reading) secretValue(at field, declared types.FileObjectConfig) ([]byte, bool) {
	var value []byte
	if declared.File != "" {
		source, ok := r.path(at, declared.File, "Copy it into the repository, or write `environment:` with the name of a variable")
		if !ok {
			return nil, false
		}
		var err error
		if value, err = r.files.Read(source); err != nil {
			r.broken(at, err)
			return nil, false
		}
	} else {
		var ok bool
		if value, ok = r.variable(at, declared.Environment); !ok {
			return nil, false
		}
	}
	if len(value) > maxContent {
		r.wrong(at, "Give the build less, or COPY it", "it has more than %d bytes", maxContent)
		return nil, false
	}
	return value, true
}
