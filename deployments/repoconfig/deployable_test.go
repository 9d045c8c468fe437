package repoconfig

import "testing"

func TestDeployable(t *testing.T) {
	for name, want := range map[string]bool{
		".vitrine.yml": true, "compose.yaml": true, "compose.yml": true, "docker-compose.yaml": true, "docker-compose.yml": true, "Dockerfile": true,
		"index.html": true, "dockerfile": false, "README.md": false, "Dockerfile.dev": false, "": false,
	} {
		if got := Deployable([]string{"LICENSE", name}); got != want {
			t.Errorf("with %q: %t", name, got)
		}
	}
	if Deployable(nil) {
		t.Error("without any file")
	}
}
