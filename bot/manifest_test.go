package bot

import (
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"vitrine"
)

func TestManifest(t *testing.T) {
	var manifest struct {
		Name        string
		Description string
		URL         string `yaml:"url"`
		Hook        struct {
			URL    string `yaml:"url"`
			Active bool
		} `yaml:"hook_attributes"`
		RedirectURL string `yaml:"redirect_url"`
		Public      *bool
		Permissions map[string]string `yaml:"default_permissions"`
		Events      []string          `yaml:"default_events"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(string(vitrine.AppManifest)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&manifest); err != nil {
		t.Fatal(err)
	}
	if manifest.Name == "" || manifest.URL == "" || manifest.RedirectURL == "" || !manifest.Hook.Active {
		t.Errorf("incomplete: %+v", manifest)
	}
	if manifest.Public == nil || *manifest.Public {
		t.Error("the App is public: anybody could install it and have code built")
	}
	if manifest.Hook.URL != manifest.URL+WebhookPath {
		t.Errorf("webhooks go to %s, the handler is at %s", manifest.Hook.URL, WebhookPath)
	}
	for _, event := range []string{"pull_request", "push", "delete", "issue_comment", "check_run", "repository"} {
		if !slices.Contains(manifest.Events, event) {
			t.Errorf("the handler reads %s, which the App does not get", event)
		}
	}
	for _, permission := range []string{"administration", "secrets", "workflows", "members"} {
		if manifest.Permissions[permission] != "" {
			t.Errorf("the App asks for %s, which nothing needs", permission)
		}
	}
	if manifest.Permissions["contents"] != "read" {
		t.Errorf("contents is %q; the App only reads them", manifest.Permissions["contents"])
	}
}
