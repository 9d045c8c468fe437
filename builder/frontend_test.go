package builder

import "testing"

func TestDockerfileSyntax(t *testing.T) {
	for image, want := range map[string]bool{
		"docker/dockerfile:1": true, "docker/dockerfile:1.7": true, "docker/dockerfile:1-labs": true, "docker/dockerfile": true,
		normal("docker/dockerfile:1"): true, "docker/dockerfile:2": false, "docker/dockerfile:10": false, "docker/dockerfile:experimental": false,
		"registry.test/docker/dockerfile:1": false, "docker/dockerfile-upstream:1": false, "": false, "\x00": false,
		"docker/dockerfile:1@sha256:" + fullHash("x"): true,
	} {
		if got := dockerfileSyntax(image); got != want {
			t.Errorf("%q: got %v", image, got)
		}
	}
}
