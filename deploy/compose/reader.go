// Package compose reads what a checkout asks for: a compose file, a lone Dockerfile or a folder to be served becomes a deploy.Stack. It is the policy, too: only what
// is known to be safe and supported passes, and everything else is told with its line.
//
// The files are a stranger's. They are read without following symbolic links and nothing outside of the checkout is opened.
package compose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"strings"

	"vitrine/deploy"
	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// The most that a stack may ask for.
const (
	maxServices = 25 // containers, replicas counted
	maxVolumes  = 50
)

// A Reader reads checkouts. It has no state and may be used side by side.
type Reader struct{ config Config }

var _ deployments.StackReader = (*Reader)(nil)

// New returns a Reader.
func New(c Config) *Reader { return &Reader{config: c} }

// Settings implements [deployments.StackReader].
func (r *Reader) Settings(_ context.Context, dir string) (settings deployments.Settings, err error) {
	files, err := checkout.Open(dir)
	if err != nil {
		return settings, err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	config, err := readConfig(files)
	return deployments.Settings{Env: config.Env, TTL: config.TTL}, err
}

// Public returns the public services in their order; the first has the plain host. Variables named VITRINE_* that v lacks, since they follow
// from the answer, have a value that stands for theirs. Errors are as of Read.
func (r *Reader) Public(ctx context.Context, repo, dir string, v deployments.Values) ([]deployments.PublicService, error) {
	stack, err := r.read(ctx, r.config.policy(repo), dir, v, &interpolator{variable: standingIn(v.All())}, false)
	return stack.Public, err
}

// Read returns the stack of the checkout in dir, encoded as a deploy.Stack, under the policy of the repository. v serves ${...} in the compose file and the secrets that name them,
// and reaches every service's environment, and the environment's own every build's arguments, unless the compose file gives these names a value of its
// own; it wins over what an env_file says. Nothing else does, least of all this process's environment. What is wrong with the files is a
// *deployments.Fault: of kind FaultNothing where there is nothing to deploy, else of kind FaultConfig with all that is wrong in its Violations.
func (r *Reader) Read(ctx context.Context, repo, dir string, v deployments.Values) (deployments.Stack, error) {
	vars := v.All()
	return r.read(ctx, r.config.policy(repo), dir, v, &interpolator{variable: func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}}, false)
}

// Check reads the folder as Read does, on a machine that has not the server's variables: those that the files require are taken to be there, and
// told in the stack's notes. The policy is the one that the operator changes nothing of. The folder may have more in it than the repository. Errors are as of Read.
func (r *Reader) Check(ctx context.Context, dir string) (deployments.Stack, error) {
	return r.read(ctx, Policy{}, dir, deployments.Values{}, &interpolator{variable: standingIn(nil), lenient: true}, true)
}

// declared returns values that stand for what .vitrine.yml declares, and has them looked up.
func (in *interpolator) declared(env map[string]deployments.Declaration) map[string]string {
	values := map[string]string{}
	for name, d := range env {
		switch {
		case d.Value != nil:
			values[name] = *d.Value
		case d.Generate > 0:
			values[name] = strings.Repeat("0", d.Generate)
		default:
			values[name] = assumed
		}
		if d.Required != "" {
			in.require(name)
		}
	}
	in.variable = standingIn(values)
	return values
}

// standingIn has a value for each of Vitrine's own variables.
func standingIn(vars map[string]string) lookup {
	return func(name string) (string, bool) {
		if v, ok := vars[name]; ok {
			return v, true
		}
		if strings.HasPrefix(name, "VITRINE_") {
			return "http://preview.invalid", true
		}
		return "", false
	}
}

func (r *Reader) read(ctx context.Context, beyond Policy, dir string, v deployments.Values, in *interpolator, forgiving bool) (stack deployments.Stack, err error) {
	files, err := checkout.Open(dir)
	if err != nil {
		return deployments.Stack{}, err
	}
	defer func() { err = errors.Join(err, files.Close()) }()
	config, err := readConfig(files)
	if err != nil {
		return deployments.Stack{}, err
	}
	defer func() { stack.Notes = append(config.Notes(), stack.Notes...) }()
	what, err := find(files, config)
	switch {
	case err != nil:
		return deployments.Stack{}, err
	case what.dockerfile != "":
		return readDockerfile(files, config, beyond, what.dockerfile, v)
	case what.static != "":
		return readStatic(config, beyond, what.static, v)
	}
	if forgiving {
		v.Env = in.declared(config.Env)
	}
	in.project = projectName(v.Own)
	reads := newReading(files, in, path.Dir(what.compose[0]), reading{config: config, beyond: beyond, vars: v.All(), args: v.Own, fork: v.Fork, forgiving: forgiving})
	return reads.read(ctx, dir, what.compose)
}

// newReading makes a reading of what the caller has set of it.
func newReading(files *checkout.Checkout, in *interpolator, folder string, r reading) *reading {
	r.folder, r.sums = folder, map[string]string{}
	r.assembly = &assembly{
		files: files, findings: &findings{}, variables: in, base: folder, sources: map[string]*source{}, services: map[string]*service{},
	}
	return &r
}

// readConfig returns the checkout's .vitrine.yml, or the zero Config.
func readConfig(files *checkout.Checkout) (repoconfig.Config, error) {
	there, err := files.Has(repoconfig.FileName)
	if err != nil || !there {
		return repoconfig.Config{}, err
	}
	content, err := files.Read(repoconfig.FileName)
	if err != nil {
		return repoconfig.Config{}, configFault(repoconfig.FileName, "", err)
	}
	return repoconfig.Parse(repoconfig.FileName, content)
}

// encode makes the answer of what was read.
func encode(s deploy.Stack, public []deployments.PublicService, builds []deployments.Build, notes []string) (deployments.Stack, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return deployments.Stack{}, fmt.Errorf("encode the stack: %w", err)
	}
	return deployments.Stack{JSON: text, Builds: builds, Public: public, Notes: notes}, nil
}

// withVars returns what a file says, and below it vars.
func withVars(own, vars map[string]string) map[string]string {
	all := maps.Clone(vars)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, own)
	return all
}
