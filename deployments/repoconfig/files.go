package repoconfig

import "slices"

// The files in the root of a repository that are deployed where its configuration names no others, beside those of [ComposeFiles].
const (
	// PreviewFile is merged on top of the compose file.
	PreviewFile = "compose.preview.yaml"
	// Dockerfile makes a single service, where there is no compose file.
	Dockerfile = "Dockerfile"
	// IndexFile says that the root is served as it is, where there is neither.
	IndexFile = "index.html"
)

// ComposeFiles returns the names of compose files in the order in which they are looked for. Override files are for a developer's machine and are not
// read.
func ComposeFiles() []string {
	return []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}
}

// Deployable reports whether a repository may have something to deploy, given the names of what lies in its root. That it has a configuration is enough
// for that.
func Deployable(names []string) bool {
	known := append(ComposeFiles(), PreviewFile, Dockerfile, IndexFile, FileName)
	return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(known, name) })
}
