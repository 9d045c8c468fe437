package repoconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// SchemaName is the name of the file that holds [Schema], and its path on a server.
const SchemaName = "vitrine.schema.json"

// Schema returns the JSON Schema (draft 7, which editors know) of a configuration, indented. What only a reader of the whole file can tell, such as a key that
// is there twice, it does not say.
func Schema() ([]byte, error) {
	s := whole().schema.with("$schema", "http://json-schema.org/draft-07/schema#").with("title", FileName).
		with("description", "What Vitrine is told by a repository, in "+FileName+" in its root. Every key is optional.")
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(s); err != nil {
		return nil, fmt.Errorf("encode the schema of %s: %w", FileName, err)
	}
	return text.Bytes(), nil
}
