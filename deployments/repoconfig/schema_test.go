package repoconfig

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the schema's file anew")

func TestSchemaFileIsNew(t *testing.T) {
	want, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(SchemaName, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(SchemaName)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(got), string(want)); diff != "" {
		t.Errorf("%s is stale; write it anew with go test ./deployments/repoconfig -run TestSchemaFileIsNew -update:\n%s", SchemaName, diff)
	}
}

// compiled returns the schema as an editor's library understands it.
func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(SchemaName, document); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile(SchemaName)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge returns what parser and schema say of a file.
func judge(t interface{ Fatalf(string, ...any) }, s *jsonschema.Schema, in string) (parser, schema error) {
	_, parser = Parse(FileName, []byte(in))
	var document any
	if err := yaml.Unmarshal([]byte(in), &document); err != nil {
		t.Fatalf("%q is not YAML: %v", in, err)
	}
	return parser, s.Validate(document)
}

func TestSchemaJudgesAsTheParser(t *testing.T) {
	s := compiled(t)
	valid := []string{
		"{}", everyKey, "compose: a\n", "dockerfile: ./x/Dockerfile\n", "static: .\n", "branches: []\n", "branches: [1.0, true]\n", "services: {web: {port: \"8080\"}}\n",
		"services: {web: {}}\n", "services: {web: {resources: {memory: 1, cpus: 0.25}}}\n", "services: {web: {resources: {memory: \"512\", cpus: \"2\"}}}\n",
		"env: {A: {required: x, fork: 1}}\n", "env: {A: 1, B: 1.5, C: false, _d: x}\n", "ttl: 1w\n", "pull_requests: {}\n",
		"with: [{repo: a/b.c_d-e}]\n", "init: []\n", "open: [/]\n",
	}
	for _, in := range valid {
		if parser, schema := judge(t, s, in); parser != nil || schema != nil {
			t.Errorf("%q is refused by the parser: %v; by the schema: %v", in, parser, schema)
		}
	}
	invalid := []string{
		"[]", "x: 1\n", "compose: /a\n", "compose: a/../../b\n", "compose: .\n", "compose: 5\n", "compose: []\n", "compose: [a, ..]\n", "compose: a\ndockerfile: b\n",
		"dockerfile: ''\n", "static: ../x\n", "branches: main\n", "branches: ['']\n", "services: [web]\n", "services: {web: 80}\n", "services: {web: {prt: 1}}\n",
		"services: {web: {port: 0}}\n", "services: {web: {port: 65536}}\n", "services: {web: {port: \"80:80\"}}\n", "services: {web: {port: \"65536\"}}\n",
		"services: {web: {host: a_b}}\n", "services: {web: {health: {path: x}}}\n", "services: {web: {health: {timeout: 5}}}\n",
		"services: {web: {resources: {memory: 1x}}}\n", "services: {web: {resources: {memory: 0}}}\n", "services: {web: {resources: {memory: 0m}}}\n",
		"services: {web: {resources: {cpus: 0}}}\n", "services: {web: {resources: {cpus: -1}}}\n", "services: {web: {resources: {cpus: \"0.0\"}}}\n",
		"services: {web: {replace: no}}\n", "pull_requests: {drafts: \"true\"}\n", "pull_requests: {forks: yes}\n", "pull_requests: {label: 5}\n",
		"init: [{service: web}]\n", "init: [{service: web, run: []}]\n", "init: [{service: web, run: a}]\n", "init: [{service: web, run: [a], when: never}]\n",
		"databases: [{name: A, service: db}]\n", "with: [{repo: a}]\n", "with: [{branch: b}]\n", "with: [{repo: a/b, branch: \"x y\"}]\n",
		"env: [A]\n", "env: {A-B: x}\n", "env: {VITRINE_X: x}\n", "env: {A: {}}\n", "env: {A: []}\n", "env: {A: {generate: 15}}\n", "env: {A: {generate: \"64\"}}\n",
		"env: {A: {generate: 64, encrypted: age1}}\n", "env: {A: {encrypted: x}}\n", "env: {A: {required: ''}}\n",
		"ttl: 5\n", "ttl: 0s\n", "ttl: 1.5h\n", "ttl: 1y\n", "sleep_after: x\n", "access: all\n", "open: /a\n", "open: [a]\n", "open: [\"/a b\"]\n",
	}
	for _, in := range invalid {
		if parser, schema := judge(t, s, in); parser == nil || schema == nil {
			t.Errorf("%q is let through by the parser: %t; by the schema: %t", in, parser == nil, schema == nil)
		}
	}
}

// Whatever single value stands wherever one is wanted, parser and schema agree on it.
func TestSchemaAgreesOnEveryValue(t *testing.T) {
	s := compiled(t)
	places := []string{
		"compose: %", "dockerfile: %", "static: %", "pull_requests: {drafts: %}", "pull_requests: {label: %}", "pull_requests: {forks: %}",
		"services: {web: {port: %}}", "services: {web: {host: %}}", "services: {web: {health: {path: %}}}", "services: {web: {health: {timeout: %}}}",
		"services: {web: {resources: {memory: %}}}", "services: {web: {resources: {cpus: %}}}", "services: {web: {replace: %}}",
		"init: [{service: %, run: [a]}]", "init: [{service: web, run: [%]}]", "databases: [{name: %, service: db}]", "with: [{repo: %}]",
		"with: [{repo: a/b, branch: %}]", "env: {A: %}", "env: {A: {generate: %}}", "env: {A: {required: %}}", "env: {A: {fork: %}}",
		"env: {A: {encrypted: %}}", "ttl: %", "access: %", "open: [%]",
	}
	// Not among them: numbers that begin with 0, which are octal or hexadecimal to some readers of YAML, and 1.0, which is an integer to JSON Schema.
	words := rapid.OneOf(
		rapid.StringMatching(`"[a-z0-9./ -]{0,12}"`), rapid.StringMatching(`[1-9][0-9]{0,6}`), rapid.StringMatching(`[1-9][0-9]{0,3}(\.[1-9]{1,2})?[a-zA-Z]{0,3}`),
		rapid.StringMatching(`"[0-9]{1,4}(\.[1-9]{1,2})?[a-zA-Z]{0,3}"`),
		rapid.StringMatching(`"[0-9]{1,3}[smhdw][0-9]{1,2}[smhdw]"`), rapid.StringMatching(`(\.\./|\./|/|[a-z]+/){1,4}[a-z]*`),
		rapid.SampledFrom([]string{"true", "false", "approve", "beside", "link", "in-place", "age1xyz", "0", "0.5", "-1", "\"\"", "\"0\"", "\"0m\""}),
	)
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Replace(rapid.SampledFrom(places).Draw(t, "place"), "%", words.Draw(t, "value"), 1) + "\n"
		parser, schema := judge(t, s, in)
		if (parser == nil) != (schema == nil) {
			t.Fatalf("%q: the parser says %v, the schema %v", in, parser, schema)
		}
	})
}

func FuzzSchema(f *testing.F) {
	f.Add([]byte(everyKey))
	f.Add([]byte("compose: [a, /b]\nttl: 0h"))
	s := compiled(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Parse(FileName, data); err != nil {
			return
		}
		var document any
		if err := yaml.Unmarshal(data, &document); err != nil {
			t.Skip() // the library decodes less than it parses
		}
		if document == nil {
			return
		}
		if err := s.Validate(document); err != nil && !bytes.Contains(data, []byte("!")) && !dated(document) {
			t.Fatalf("the schema refuses what the parser takes: %v", err)
		}
	})
}

// dated reports whether Go's decoder, unlike an editor, made a time of a value.
func dated(document any) bool {
	switch v := document.(type) {
	case map[string]any:
		for _, item := range v {
			if dated(item) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if dated(item) {
				return true
			}
		}
	case nil, string, bool, int, float64:
		return false
	default:
		return true
	}
	return false
}
