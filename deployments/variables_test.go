package deployments

import "testing"

func TestVariableName(t *testing.T) {
	for service, want := range map[string]string{
		"web": "WEB", "my-api": "MY_API", "v2.web_1": "V2_WEB_1", "Café": "CAF_", "": "",
	} {
		if got := variableName(service); got != want {
			t.Errorf("%q: got %q, want %q", service, got, want)
		}
	}
}

func TestHostOf(t *testing.T) {
	for link, want := range map[string]string{
		"https://shop-pr-42.preview.test": "shop-pr-42.preview.test", "http://shop.localhost:8080/": "shop.localhost", "%": "",
	} {
		if got := hostOf(link); got != want {
			t.Errorf("%q: got %q, want %q", link, got, want)
		}
	}
}
