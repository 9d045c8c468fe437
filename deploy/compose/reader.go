// Package compose reads what a checkout asks for: a compose file, or a lone Dockerfile, becomes a deploy.Stack. It is the policy, too: only what
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
	"slices"
	"strings"

	"vitrine/deploy"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// The most that a stack may ask for.
const (
	maxServices = 25
	maxVolumes  = 50
	maxMemory   = 4 << 30 // bytes, of each service
	maxCPUs     = 4       // of each service
)

// usual are the names of compose files in the order in which they are looked for. Override files are for a developer's machine and are not read.
var usual = [...]string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// Config is what a Reader may be told. There is nothing yet.
type Config struct{}

// A Reader reads checkouts. It has no state and may be used side by side.
type Reader struct{}

var _ deployments.StackReader = (*Reader)(nil)

// New returns a Reader.
func New(Config) *Reader { return &Reader{} }

// Public returns the public services in their order; the first has the plain host. Variables named VITRINE_* that v lacks, since they follow
// from the answer, have a value that stands for theirs. Errors are as of Read.
func (r *Reader) Public(ctx context.Context, dir string, v deployments.Values) ([]deployments.PublicService, error) {
	vars := v.All()
	stack, err := r.read(ctx, dir, v, func(name string) (string, bool) {
		if v, ok := vars[name]; ok {
			return v, true
		}
		if strings.HasPrefix(name, "VITRINE_") {
			return "http://preview.invalid", true
		}
		return "", false
	})
	return stack.Public, err
}

// Read returns the stack of the checkout in dir, encoded as a deploy.Stack. v serves ${...} in the compose file, and reaches every service's
// environment, and the environment's own every build's arguments, unless the compose file gives these names a value of its own. Nothing else does, least
// of all this process's environment. What is wrong with the files is a *deployments.Fault: of kind FaultNothing where there is nothing to deploy, else of
// kind FaultConfig with all that is wrong in its Excerpt.
func (r *Reader) Read(ctx context.Context, dir string, v deployments.Values) (deployments.Stack, error) {
	vars := v.All()
	return r.read(ctx, dir, v, func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	})
}

func (r *Reader) read(ctx context.Context, dir string, v deployments.Values, variable lookup) (stack deployments.Stack, err error) {
	files, err := openCheckout(dir)
	if err != nil {
		return deployments.Stack{}, err
	}
	defer func() { err = errors.Join(err, files.close()) }()
	config, err := readConfig(files)
	if err != nil {
		return deployments.Stack{}, err
	}
	defer func() { stack.Notes = append(config.Notes(), stack.Notes...) }()
	file, lone, err := find(files, config)
	if err != nil {
		return deployments.Stack{}, err
	}
	if lone {
		return readDockerfile(files, config, file, v)
	}
	content, err := files.read(file)
	if err != nil {
		return deployments.Stack{}, configFault(file, err)
	}
	return readCompose(ctx, dir, &reading{
		files: files, config: config, folder: path.Dir(file), vars: v.All(), args: v.Own,
		findings: &findings{file: file}, variables: &interpolator{variable: variable, project: projectName(v.Own)},
	}, content)
}

// readConfig returns the checkout's .vitrine.yml, or the zero Config.
func readConfig(files *checkout) (repoconfig.Config, error) {
	there, err := files.has(repoconfig.FileName)
	if err != nil || !there {
		return repoconfig.Config{}, err
	}
	content, err := files.read(repoconfig.FileName)
	if err != nil {
		return repoconfig.Config{}, configFault(repoconfig.FileName, err)
	}
	return repoconfig.Parse(repoconfig.FileName, content)
}

// find returns the file to deploy, and whether it is a lone Dockerfile.
func find(files *checkout, config repoconfig.Config) (file string, lone bool, err error) {
	switch {
	case len(config.Compose) > 1:
		return "", false, configFault(config.Where("compose"), &errFile{"several compose files are not read yet; name one"})
	case len(config.Compose) == 1:
		return config.Compose[0], false, configFault(config.Where("compose"), files.isFile(config.Compose[0]))
	case config.Dockerfile != "":
		return config.Dockerfile, true, configFault(config.Where("dockerfile"), files.isFile(config.Dockerfile))
	}
	for _, name := range append(usual[:], "Dockerfile") {
		there, err := files.has(name)
		if err != nil {
			return "", false, fmt.Errorf("look for %s: %w", name, err)
		}
		if there {
			return name, name == "Dockerfile", nil
		}
	}
	return "", false, &deployments.Fault{Kind: deployments.FaultNothing, Reason: fmt.Sprintf(
		"there is nothing to deploy: looked for %s and Dockerfile in the root of the repository, and for compose: or dockerfile: in %s",
		strings.Join(usual[:], ", "), repoconfig.FileName)}
}

// configFault makes a Fault of what the user got wrong about a file, and leaves other errors as they are.
func configFault(where string, err error) error {
	if bad, ok := errors.AsType[*errFile](err); ok {
		return &deployments.Fault{Kind: deployments.FaultConfig, Where: where, Reason: bad.reason, Excerpt: []string{where + ": " + bad.reason}}
	}
	return err
}

// encode makes the answer of what was read. public are in file order.
func encode(s deploy.Stack, builds []deployments.Build, notes []string) (deployments.Stack, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return deployments.Stack{}, fmt.Errorf("encode the stack: %w", err)
	}
	answer := deployments.Stack{JSON: text, Builds: builds, Notes: notes}
	for _, service := range s.Services {
		if service.Public {
			answer.Public = append(answer.Public, deployments.PublicService{Name: service.Name, Port: service.Port})
		}
	}
	slices.SortStableFunc(answer.Public, func(a, b deployments.PublicService) int {
		switch {
		case a.Name == b.Name:
			return 0
		case a.Name == mainService:
			return -1
		case b.Name == mainService:
			return 1
		default:
			return 0
		}
	})
	return answer, nil
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
