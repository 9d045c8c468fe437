package conformance

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// additions describes, in the same way, what GitHub answers and the description beside the checkout leaves out.
//
//go:embed additions.json
var additions []byte

// complete adds the additions to the description, and the addresses by a repository's number, to which GitHub sends whoever uses an old name.
func complete(doc *openapi3.T) error {
	more, err := openapi3.NewLoader().LoadFromData(additions)
	if err != nil {
		return fmt.Errorf("read what GitHub's description leaves out: %w", err)
	}
	for path, item := range more.Paths.Map() {
		if doc.Paths.Value(path) == nil {
			doc.Paths.Set(path, item)
		}
	}
	for path, item := range doc.Paths.Map() {
		if rest, ofRepository := strings.CutPrefix(path, "/repos/{owner}/{repo}"); ofRepository {
			doc.Paths.Set("/repositories/{repository_id}"+rest, without(item, "owner", "repo"))
		}
	}
	return nil
}

// without returns an endpoint as it is where parameters of the path are left out.
func without(item *openapi3.PathItem, names ...string) *openapi3.PathItem {
	keep := func(all openapi3.Parameters) openapi3.Parameters {
		return slices.DeleteFunc(slices.Clone(all), func(p *openapi3.ParameterRef) bool {
			return p.Value.In == openapi3.ParameterInPath && slices.Contains(names, p.Value.Name)
		})
	}
	left := *item
	left.Parameters = keep(item.Parameters)
	for method, operation := range item.Operations() {
		changed := *operation
		changed.Parameters = keep(operation.Parameters)
		left.SetOperation(method, &changed)
	}
	return &left
}
