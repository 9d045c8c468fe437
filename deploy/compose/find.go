package compose

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"vitrine/deploy/compose/internal/checkout"
	"vitrine/deployments"
	"vitrine/deployments/repoconfig"
)

// A subject is what of a checkout is deployed. Exactly one of its fields is set.
type subject struct {
	compose    []string // each to be merged over those before it
	dockerfile string
	static     string // a folder with an index.html
}

// find returns what to deploy: what .vitrine.yml names, else the first of the usual that is there.
func find(files *checkout.Checkout, config repoconfig.Config) (subject, error) {
	switch {
	case len(config.Compose) > 0:
		for _, name := range config.Compose {
			if err := files.IsFile(name); err != nil {
				return subject{}, configFault(config.Where("compose"), "", err)
			}
		}
		return subject{compose: config.Compose}, nil
	case config.Dockerfile != "":
		return subject{dockerfile: config.Dockerfile}, configFault(config.Where("dockerfile"), "", files.IsFile(config.Dockerfile))
	case config.Static != "":
		return subject{static: config.Static}, checkStatic(files, config)
	}
	return findUsual(files)
}

// checkStatic holds the folder of `static:` against what is in the repository.
func checkStatic(files *checkout.Checkout, config repoconfig.Config) error {
	const instead = "Name a folder that is in git and has an index.html; one that has to be built first wants a Dockerfile"
	if config.Static != "." {
		if err := files.IsDir(config.Static); err != nil {
			return configFault(config.Where("static"), instead, err)
		}
	}
	return configFault(config.Where("static"), instead, files.IsFile(path.Join(config.Static, repoconfig.IndexFile)))
}

func findUsual(files *checkout.Checkout) (subject, error) {
	there := map[string]bool{}
	for _, name := range append(repoconfig.ComposeFiles(), repoconfig.PreviewFile, repoconfig.Dockerfile, repoconfig.IndexFile) {
		var err error
		if there[name], err = files.Has(name); err != nil {
			return subject{}, fmt.Errorf("look for %s: %w", name, err)
		}
	}
	var compose []string
	for _, name := range repoconfig.ComposeFiles() {
		if there[name] {
			compose = []string{name}
			break
		}
	}
	if there[repoconfig.PreviewFile] {
		compose = append(compose, repoconfig.PreviewFile)
	}
	switch {
	case len(compose) > 0:
		return subject{compose: compose}, nil
	case there[repoconfig.Dockerfile]:
		return subject{dockerfile: repoconfig.Dockerfile}, nil
	case there[repoconfig.IndexFile]:
		return subject{static: "."}, configFault(repoconfig.IndexFile, "", files.IsFile(repoconfig.IndexFile))
	}
	return subject{}, &deployments.Fault{Kind: deployments.FaultNothing, Reason: fmt.Sprintf(
		"there is nothing to deploy: looked for %s, %s and %s in the root of the repository, and for compose:, dockerfile: or static: in %s",
		strings.Join(repoconfig.ComposeFiles(), ", "), repoconfig.Dockerfile, repoconfig.IndexFile, repoconfig.FileName)}
}

// configFault makes a Fault of what the user got wrong about a file, with what to do instead, which may be empty, and leaves other errors as they are.
func configFault(where, instead string, err error) error {
	if bad, ok := errors.AsType[*checkout.Problem](err); ok {
		at := placed(where)
		v := deployments.Violation{File: at.file, Line: at.line, Rule: "files", Message: bad.Reason, Rewrite: instead}
		return &deployments.Fault{Kind: deployments.FaultConfig, Where: where, Reason: v.Text(), Excerpt: []string{where + ": " + v.Text()},
			Violations: []deployments.Violation{v}}
	}
	return err
}
