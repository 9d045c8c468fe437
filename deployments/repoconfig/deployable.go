package repoconfig

import "slices"

// Deployable reports whether a repository may have something to deploy, given the names of what lies in its root. That it has a configuration is enough
// for that.
func Deployable(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(deployable(), name) })
}

// deployable are the names of files that are looked for in the root of a repository.
func deployable() []string {
	return []string{FileName, "compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml", "Dockerfile", "index.html"}
}
