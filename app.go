// Package vitrine is the module's root. It holds the manifest of the GitHub App, so that the server can show it and register with it.
package vitrine

import _ "embed"

// AppManifest is app.yml, the manifest of the GitHub App, in YAML: its addresses are examples, for the server's own to be put in.
//
//go:embed app.yml
var AppManifest []byte
