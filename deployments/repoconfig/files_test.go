package repoconfig

import "testing"

func TestDeployable(t *testing.T) {
	for name, want := range map[string]bool{
		"compose.yaml": true, "compose.yml": true, "docker-compose.yaml": true, "docker-compose.yml": true, "compose.preview.yaml": true,
		"Dockerfile": true, "index.html": true, ".vitrine.yml": true,
		"docker-compose.override.yml": false, "index.htm": false, "README.md": false, "": false,
	} {
		if got := Deployable([]string{"README.md", name}); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if Deployable(nil) {
		t.Error("an empty repository is said to be deployable")
	}
}
