// Package repoconfig reads a repository's .vitrine.yml: what of it is deployed, and which branches have an environment of their own.
package repoconfig

import (
	"fmt"
	"path"
)

// FileName is where the configuration lies, in the root of the repository.
const FileName = ".vitrine.yml"

// MaxSize is the most bytes that a configuration may have.
const MaxSize = 64 << 10

// A Config is a repository's configuration. The zero Config is that of a repository without the file.
type Config struct {
	// Compose is the compose file to read, relative to the root with slashes; empty for the first of the usual names.
	Compose string
	// Dockerfile makes a single service of this file, relative to the root with slashes; empty for "Dockerfile" where there is no compose file.
	// Compose and Dockerfile are never both set.
	Dockerfile string
	// Branches are the patterns of branches that have an environment of their own. See Tracks.
	Branches []string
	// Services says more about some of the services, by name.
	Services map[string]Service

	file  string
	lines map[string]int
}

// A Service is what the configuration says of one service.
type Service struct {
	Port int // where it answers HTTP, in the container, 1 to 65535; 0 where the configuration does not say
}

// Tracks reports whether the branch has an environment of its own: whether one of Branches matches it whole. A pattern is path.Match's, so
// that a star stays within one segment: "release/*" is "release/1.2", but neither "release" nor "release/1/2".
func (c Config) Tracks(branch string) bool {
	for _, pattern := range c.Branches {
		if ok, err := path.Match(pattern, branch); err == nil && ok {
			return true
		}
	}
	return false
}

// Where returns the place of a key, such as "services.web.port", as ".vitrine.yml:7". For a key that is not there it returns the file.
func (c Config) Where(key string) string {
	file := c.file
	if file == "" {
		file = FileName
	}
	if line, ok := c.lines[key]; ok {
		return fmt.Sprintf("%s:%d", file, line)
	}
	return file
}
