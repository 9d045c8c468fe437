package compose

import (
	"slices"
	"strings"
	"testing"

	"vitrine/deployments"
)

// The builds of a fork's code get no secret, whatever the files say; its services get what is there for forks.
func TestForksBuildWithoutSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "Dockerfile", "FROM scratch\n")
	write(t, dir, "npmrc", "x\n")
	write(t, dir, "compose.yaml", `services:
  web: {build: {context: ., secrets: [token, npmrc]}, ports: ["80"]}
secrets: {token: {environment: TOKEN}, npmrc: {file: npmrc}}
`)
	own, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{Env: map[string]string{"TOKEN": "t0ken"}})
	if err != nil || string(own.Builds[0].Secrets["token"]) != "t0ken" || string(own.Builds[0].Secrets["npmrc"]) != "x\n" {
		t.Errorf("%+v %v", own.Builds, err)
	}
	fork, err := New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{Fork: true})
	if err != nil || len(fork.Builds[0].Secrets) > 0 || !slices.Contains(fork.Notes, "build.secrets is left out (web): the builds of a fork's code get none.") {
		t.Errorf("%+v %v", fork, err)
	}
	write(t, dir, "compose.yaml", "services:\n  web: {image: a, secrets: [token], ports: [\"80\"]}\nsecrets: {token: {environment: TOKEN}}\n")
	_, err = New(Config{}).Read(t.Context(), "acme/shop", dir, deployments.Values{Fork: true})
	if f := deployments.FaultOf(err); f == nil || !strings.Contains(f.Reason, "`TOKEN: {fork: dummy}`") {
		t.Errorf("%v", err)
	}
}
