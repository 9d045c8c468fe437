package main

import (
	"fmt"

	"go.yaml.in/yaml/v4"

	"vitrine"
)

// A manifest is what app.yml asks GitHub for, which an App or an installation of it may lack.
type manifest struct {
	Permissions map[string]string `yaml:"default_permissions"` // "checks": "write"
	Events      []string          `yaml:"default_events"`
}

func readManifest() (m manifest, err error) {
	if err := yaml.Unmarshal(vitrine.AppManifest, &m); err != nil {
		return m, fmt.Errorf("read app.yml: %w", err)
	}
	return m, nil
}
