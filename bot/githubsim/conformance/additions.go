package conformance

import (
	_ "embed"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

// additions describes, in the same way, what GitHub answers and the description beside the checkout leaves out.
//
//go:embed additions.json
var additions []byte

// complete adds the additions to the description.
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
	return nil
}
