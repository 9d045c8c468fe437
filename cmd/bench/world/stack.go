package world

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Repository is the one that everybody deploys from.
const Repository = "acme/shop"

// Services returns the names of those of its stack, both built from it.
func Services() []string { return []string{"web", "api"} }

// Stack returns Repository's files by their paths. base is the image that both services build on. compose.yaml is for Vitrine, ci.yaml for the CI
// script, which names the images that it pushed. Neither service waits for the other, so that nothing keeps a contestant from starting them side by side.
func Stack(base string) map[string]string {
	return map[string]string{
		"compose.yaml": `services:
  web:
    build: web
    ports: ["8080"]
  api:
    build: api
    ports: ["8080"]
`,
		"ci.yaml": `version: "2.4"
services:
  web:
    image: ${REGISTRY}/shop/web:${TAG}
    ports: ["127.0.0.1:${PORT}:8080"]
  api:
    image: ${REGISTRY}/shop/api:${TAG}
`,
		"web/Dockerfile": "FROM " + base + "\nCOPY index.html /srv/\nCMD [\"/vitrine\", \"web\"]\n",
		"web/index.html": page("at first"),
		"api/Dockerfile": "FROM " + base + "\nCOPY stock.txt /srv/\nCMD [\"/vitrine\", \"api\"]\n",
		"api/stock.txt":  "12\n",
	}
}

// Single returns the files of a repository whose stack is a lone Dockerfile.
func Single(base string) map[string]string {
	return map[string]string{
		"Dockerfile": "FROM " + base + "\nCOPY stock.txt /srv/\nEXPOSE 8080\nCMD [\"/vitrine\", \"api\"]\n",
		"stock.txt":  "12\n",
	}
}

// page returns web's page with a text to know it by.
func page(text string) string {
	return "<!doctype html>\n<title>Shop</title>\n<h1>" + text + "</h1>\n<p>{{stock}} pieces</p>\n"
}

// Answer returns how the page with the text reads once web and api both had a part in it.
func Answer(text string) string {
	return strings.ReplaceAll(page(text), "{{stock}}", "12")
}

// buildShop builds the services' binary, static, into the folder dir, and returns its path. Each world has a binary of its own, so that no other's images
// are taken for its own.
func buildShop(ctx context.Context, dir, world string) (string, error) {
	path := filepath.Join(dir, "shop")
	command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-X main.world="+world, "-o", path, "vitrine/cmd/bench/shop")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the services' binary: %w: %s", err, out)
	}
	return path, nil
}
