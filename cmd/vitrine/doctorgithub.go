package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"vitrine"
	"vitrine/bot"
	"vitrine/deployments"
)

// openForge returns a bot that only asks.
func (c *doctorCommand) openForge() (*bot.Bot, error) {
	key, err := c.app()
	if err != nil {
		return nil, err
	}
	transport, err := c.toGithub()
	if err != nil {
		return nil, err
	}
	return bot.New(bot.Config{
		AppID: c.GithubAppID, PrivateKey: key, WebhookSecret: c.GithubWebhookSecret, URL: c.GithubURL, APIURL: c.GithubAPIURL,
		Transport: transport, TTL: c.TTL, MaxTTL: c.TTLMax, PreviewURL: c.previewLink(0), States: noStates{},
	})
}

func (c *doctorCommand) github(ctx context.Context) (string, error) {
	forge, err := c.openForge()
	if err != nil {
		return "", err
	}
	login, err := forge.Login(ctx)
	if err != nil {
		return "", fmt.Errorf("%s does not take the App's number and key: %w", c.GithubAPIURL, err)
	}
	permissions, err := appPermissions()
	if err != nil {
		return "", err
	}
	lacking, err := forge.Lacking(ctx, permissions)
	if err == nil && len(lacking) > 0 {
		err = errors.New(strings.Join(lacking, "; "))
	}
	return "is " + login + " at " + c.GithubAPIURL, err
}

// appPermissions returns what app.yml asks for, with the level of each permission.
func appPermissions() (map[string]string, error) {
	var manifest struct {
		Permissions map[string]string `yaml:"default_permissions"`
	}
	if err := yaml.Unmarshal(vitrine.AppManifest, &manifest); err != nil {
		return nil, fmt.Errorf("read app.yml: %w", err)
	}
	return manifest.Permissions, nil
}

// noStates stands for records that nobody asks for.
type noStates struct{}

func (noStates) EnvironmentOf(context.Context, string) (deployments.Environment, error) {
	return deployments.Environment{}, deployments.ErrNotFound
}

func (noStates) HostState(context.Context, string) (deployments.HostState, error) {
	return deployments.HostState{}, deployments.ErrNotFound
}
