package repoconfig

import "testing"

func TestTracks(t *testing.T) {
	tests := []struct {
		branches []string
		branch   string
		want     bool
	}{
		{nil, "main", false},
		{[]string{"main"}, "main", true},
		{[]string{"main"}, "main2", false},
		{[]string{"main"}, "x/main", false},
		{[]string{"release/*"}, "release/1.2", true},
		{[]string{"release/*"}, "release", false},
		{[]string{"release/*"}, "release/1/2", false},
		{[]string{"*"}, "feature/login", false},
		{[]string{"main", "*/*"}, "feature/login", true},
		{[]string{"v[0-9]"}, "v7", true},
		{[]string{"["}, "[", false},
	}
	for _, tt := range tests {
		if got := (Config{Branches: tt.branches}).Tracks(tt.branch); got != tt.want {
			t.Errorf("%q tracks %q: %v, want %v", tt.branches, tt.branch, got, tt.want)
		}
	}
}

func TestWhere(t *testing.T) {
	c, err := Parse(FileName, []byte("branches: [main]\nservices:\n  web:\n    port: 8080\n"))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"branches":          ".vitrine.yml:1",
		"services.web":      ".vitrine.yml:3",
		"services.web.port": ".vitrine.yml:4",
		"compose":           ".vitrine.yml",
	} {
		if got := c.Where(key); got != want {
			t.Errorf("Where(%q) = %q, want %q", key, got, want)
		}
	}
	if got := (Config{}).Where("compose"); got != ".vitrine.yml" {
		t.Errorf("Where of the zero Config = %q", got)
	}
}
