package docker

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
)

// probes returns the IDs of the images of testdata/probe: of one that goes on, and of one that ends. removeEngine takes them away.
func probes(t *testing.T) (lasting, ending string) {
	t.Helper()
	ids, err := theProbes()
	if err != nil {
		t.Fatal(err)
	}
	return ids[0], ids[1]
}

var theProbes = sync.OnceValues(func() (ids [2]string, err error) {
	layer, err := probeLayer()
	if err != nil {
		return ids, err
	}
	for i, name := range probeNames() {
		if ids[i], err = theEngine().importLayer(layer, theEngine().tag+"-"+name, fmt.Sprintf(`ENTRYPOINT ["/bin/%s"]`, name)); err != nil {
			return ids, err
		}
	}
	return ids, nil
})

// probeNames are the commands of the two images, and the ends of their tags.
func probeNames() []string { return []string{"probe", "once"} }

// probeLayer returns a file system with the probe under all its names, two users, and a few files of its own.
func probeLayer() ([]byte, error) {
	binary, err := static("./testdata/probe")
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"etc/passwd": "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\napp:x:1001:1002::/home/app:/bin/sh\n",
		"etc/group":  "root:x:0:\nnobody:x:65534:\napp:x:1002:\n",
		"srv/seed":   "of the image\n", "node_modules/module": "of the image\n", "app/node_modules/module": "of the image\n",
		"bin/probe": string(binary),
	}
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			return nil, err
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"once", "migrate", "seed", "resolve", "sh", "curl", "pg_isready", "tini"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeLink, Name: "bin/" + name, Linkname: "bin/probe", Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	return layer.Bytes(), w.Close()
}
