package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// writeFile writes a file of the test's own and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigurationFile(t *testing.T) {
	for name, test := range map[string]struct {
		text  string
		texts []string
	}{
		"an unknown key":  {"listen: 127.0.0.1:0\nlisen: 127.0.0.1:0\n", []string{`configuration file, line 2: unknown setting "lisen"`, "vitrine serve --help"}},
		"several":         {"a: 1\nlisten: 127.0.0.1:0\nb: 2\n", []string{"line 1: unknown setting \"a\"; `vitrine serve --help` lists them\nconfiguration file, line 3: unknown setting \"b\""}},
		"itself":          {"config: other.yml\n", []string{`line 1: unknown setting "config"`}},
		"a key twice":     {"listen: 127.0.0.1:0\nlisten: 127.0.0.1:1\n", []string{`line 2: "listen" stands on line 1 already`}},
		"a wrong value":   {"listen: 127.0.0.1:0\nttl: soon\n", []string{"configuration file, line 2: --ttl", `"soon"`}},
		"a mapping":       {"listen:\n  port: 8080\n", []string{"line 2: listen: expected a value or a list of values"}},
		"a list of lists": {"trusted-images: [[a]]\n", []string{"line 1: trusted-images: expected a list of plain values"}},
		"a list":          {"- listen\n", []string{"line 1: expected settings, as in `listen: 127.0.0.1:8080`"}},
		"no YAML":         {"listen: 127.0.0.1:0\nurl: x: y\n", []string{"configuration file: this is not YAML: line 2, column"}},
		"no end":          {"listen: 127.0.0.1:0\ntrusted-images: [a\nurl: x\n", []string{"configuration file: this is not YAML: while parsing a flow sequence at line 2, column 17: line 3"}},
		"makes no sense":  {"builds: 0\n", []string{"builds: 0 is less than 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			command(t, "serve", "--config", writeFile(t, "vitrine.yml", test.text)).says(t, exitUsage, test.texts...)
		})
	}
	t.Run("not there", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none.yml")
		command(t, "serve", "--config", path).says(t, exitUsage, "--config", path+": no such file")
	})
	t.Run("empty", func(t *testing.T) {
		command(t, "serve", "--github-app-id=1", "--config", writeFile(t, "vitrine.yml", "")).says(t, exitUsage, "set github-private-key-file")
	})
}

// Everything that makes no sense is said at once, in one order.
func TestSettingsThatMakeNoSense(t *testing.T) {
	command(t, "serve", "--listen=here", "--url=ftp://x", "--github-url=github", "--domain=a:b", "--builds=0", "--ttl=2h", "--ttl-max=1h", "--subnets=10.0.0.0/30").
		says(t, exitUsage, strings.Join([]string{
			`listen: "here" is not host:port, as in 127.0.0.1:8080`,
			`url: "ftp://x" is not an http or https URL`,
			`github-url: "github" is not an http or https URL`,
			`domain: "a:b" is not a domain name, as in preview.acme.dev`,
			`builds: 0 is less than 1`,
			`ttl: 2h0m0s must be above 0 and at most ttl-max, 1h0m0s`,
			`subnets: 10.0.0.0/30 is not an IPv4 network of /27 or larger, as in 10.213.0.0/16`,
		}, "\n"))
	command(t, "serve", "--egress-allow=10.1.2.3:5432,db.internal").says(t, exitUsage, "--egress-allow", `"db.internal" is no IPv4 address or network, as in 10.1.2.3`)
	command(t, "serve", "--listen=example.test:80").says(t, exitUsage, `listen: "example.test" is not an IP address; use 127.0.0.1, or 0.0.0.0 for every interface`)
}

// Each setting's variable is its flag's name in capitals.
func TestVariables(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.DefaultEnvars("VITRINE"), kong.Vars(defaults()))
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range parser.Model.Children[0].AllFlags(false) {
		for _, flag := range group {
			want := "VITRINE_" + strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
			if flag.Name != "help" && !slices.Equal(flag.Envs, []string{want}) {
				t.Errorf("--%s is read from %q, want %s", flag.Name, flag.Envs, want)
			}
		}
	}
}

// A flag wins over the environment, and the environment over the file. The doctor says which data folder it found in the end.
func TestPrecedence(t *testing.T) {
	dir := t.TempDir()
	folder := func(name string) string { return filepath.Join(dir, name) }
	file := writeFile(t, "vitrine.yml", "data: "+folder("file")+"\nredis-url: redis://127.0.0.1:1\n")
	doctor := func(args ...string) string {
		t.Helper()
		o := command(t, append([]string{"doctor", "--docker-host", noEngine(t)}, args...)...)
		o.says(t, exitFailed)
		return o.out
	}
	expect := func(out, want string) {
		t.Helper()
		for _, name := range []string{"file", "environment", "flag"} {
			if strings.Contains(out, folder(name)) != (name == want) {
				t.Errorf("want the data folder %s; the doctor says:\n%s", folder(want), out)
			}
		}
	}
	expect(doctor("--config", file), "file")
	t.Setenv("VITRINE_CONFIG", file)
	expect(doctor(), "file")
	t.Setenv("VITRINE_DATA", folder("environment"))
	out := doctor()
	expect(out, "environment")
	if !strings.Contains(out, "127.0.0.1:1") {
		t.Errorf("what the environment does not set is not taken from the file:\n%s", out)
	}
	expect(doctor("--data", folder("flag")), "flag")
}

// What serve is not told of its GitHub App is said all at once.
func TestGithubSettings(t *testing.T) {
	command(t, "serve", "--github-app-id=1").says(t, exitUsage, "set github-private-key-file, github-webhook-secret too (as flag")
	app := []string{"serve", "--github-app-id=1", "--github-webhook-secret=secret", "--github-private-key-file"}
	t.Run("a key file that is not there", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "none.pem")
		command(t, append(app, path)...).says(t, exitUsage, "github-private-key-file", path+": no such file")
	})
	for name, text := range map[string]string{
		"no key at all":   "hello\n",
		"an empty file":   "",
		"another's block": "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "app.pem", text)
			command(t, append(app, path)...).says(t, exitUsage, "github-private-key-file: "+path+" is no private key", "the App's settings on GitHub generate one")
		})
	}
}
