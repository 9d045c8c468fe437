package docker

import (
	"strings"
	"testing"
)

const passwd = "root:x:0:0::/root:/bin/sh\nodd\nnode:x:1000:1001::/home/node:/bin/sh\nbroken:x:a:b::/:\n"

func TestOwnerIn(t *testing.T) {
	for name, want := range map[string]owner{"node": {1000, 1001}, "root": {}, "broken": {}, "nobody": {}, "": {}} {
		if got := ownerIn([]byte(passwd), name); got != want {
			t.Errorf("%q is %+v, want %+v", name, got, want)
		}
	}
}

// FuzzOwnerIn holds that whatever an image has for its users nobody but one who is listed is found.
func FuzzOwnerIn(f *testing.F) {
	f.Add([]byte(passwd), "node")
	f.Fuzz(func(t *testing.T, passwd []byte, name string) {
		if got := ownerIn(passwd, name); got != (owner{}) && !strings.Contains(string(passwd), name+":") {
			t.Errorf("%q is %+v in %q", name, got, passwd)
		}
	})
}
