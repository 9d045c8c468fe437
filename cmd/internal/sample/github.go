package sample

import (
	"context"
	"fmt"

	"go.yaml.in/yaml/v4"

	"vitrine"
	"vitrine/bot/githubsim"
)

// The repository and its people.
const (
	Owner      = "acme" // has the App, too
	Repository = Owner + "/shop"
	Developer  = "ana"      // may write
	Stranger   = "stranger" // may read
	Password   = "demo"     // everybody's
)

// App is the number of our App in the simulated GitHub.
const App = 1

// NewGithub returns a simulated GitHub with our App as app.yml describes it. It is to be served at the address web, keeps what it has in the folder dir, and
// sends webhooks to the address hook, signed with the secret.
func NewGithub(web, dir, hook, secret string) (*githubsim.Server, error) {
	var manifest struct {
		Permissions map[string]string `yaml:"default_permissions"`
		Events      []string          `yaml:"default_events"`
	}
	if err := yaml.Unmarshal(vitrine.AppManifest, &manifest); err != nil {
		return nil, fmt.Errorf("read app.yml: %w", err)
	}
	return githubsim.New(githubsim.Config{URL: web, DataDir: dir, App: githubsim.App{
		ID: App, Slug: "vitrine", Owner: Owner, WebhookURL: hook, WebhookSecret: secret, Permissions: manifest.Permissions, Events: manifest.Events,
	}})
}

// Cast makes the people and the repository, which builds on the image base.
func Cast(ctx context.Context, github *githubsim.Server, base string) error {
	for _, login := range []string{Owner, Developer, Stranger} {
		if err := github.CreateUser(login, Password); err != nil {
			return err
		}
	}
	if err := github.CreateRepository(ctx, Repository, false, Files(base)); err != nil {
		return err
	}
	if err := github.SetPermission(Repository, Developer, "write"); err != nil {
		return err
	}
	return github.SetPermission(Repository, Stranger, "read")
}
