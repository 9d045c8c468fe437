package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vitrine/deployments/web"
)

// withServer returns the data folder of a server that runs, without an engine, until the test ends.
func withServer(t *testing.T, s settings) string {
	t.Helper()
	key, err := keyPEM()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := opened(t, listener, s, []byte(key))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		closed(t, srv)
		if _, err := os.Stat(filepath.Join(s.Data, socketFile)); !os.IsNotExist(err) {
			t.Errorf("the control socket is still there: %v", err)
		}
	})
	return s.Data
}

func TestEnv(t *testing.T) {
	data := withServer(t, testSettings(t))
	env := func(args ...string) outcome {
		t.Helper()
		return command(t, append(append([]string{"env"}, args...), "--data="+data)...)
	}
	env("list", "acme/shop").says(t, exitOK, "acme/shop has no Variables.")
	env("set", "acme/shop", "STRIPE_KEY=sk_live_1", "EMPTY=").says(t, exitOK, "Set for acme/shop: EMPTY, STRIPE_KEY.", "next deploy", "/deploy")
	file := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(file, []byte("# Comment\nexport TOKEN=\"two words\"\nSTRIPE_KEY=of the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env("set", "acme/shop", "--file="+file, "STRIPE_KEY=sk_live_2").says(t, exitOK, "Set for acme/shop: STRIPE_KEY, TOKEN.")
	list := env("list", "ACME/shop")
	list.says(t, exitOK, "NAME", "STRIPE_KEY  20", "TOKEN", "EMPTY")
	if strings.Contains(list.out, "sk_live") || strings.Contains(list.out, "two words") {
		t.Errorf("the list shows a value:\n%s", list.out)
	}
	var listed web.VariableList
	if err := json.Unmarshal([]byte(env("list", "acme/shop", "--json").out), &listed); err != nil || len(listed.Variables) != 3 {
		t.Errorf("as JSON it is %+v: %v", listed, err)
	}
	env("rm", "acme/shop", "TOKEN", "NOT_THERE").says(t, exitNotFound, "NOT_THERE: not found", "nothing was removed")
	env("rm", "acme/shop", "TOKEN", "EMPTY").says(t, exitOK, "Removed from acme/shop: TOKEN, EMPTY.")
	if list := env("list", "acme/shop"); strings.Contains(list.out, "TOKEN") || !strings.Contains(list.out, "STRIPE_KEY") {
		t.Errorf("after the removal the list is\n%s", list.out)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"set", "shop", "A=b"}, `"shop" is no repository`},
		{[]string{"set", "acme/..%2f", "A=b"}, "is no repository"},
		{[]string{"set", "acme/shop", "A"}, `"A" has no value; write A=VALUE`},
		{[]string{"set", "acme/shop"}, "there is nothing to set"},
		{[]string{"set", "acme/shop", "A-B=c"}, `"A-B" is no name of a Variable`},
		{[]string{"set", "acme/shop", "VITRINE_URL=x"}, "VITRINE_ are the server's own"},
		{[]string{"set", "acme/shop", "--file=" + file + ".gone"}, "no such file"},
		{[]string{"rm", "acme/shop"}, "expected \"<key> ...\""},
	} {
		env(test.args...).says(t, exitUsage, test.says)
	}
}

func TestEnvWithoutServer(t *testing.T) {
	folder := t.TempDir()
	for name, data := range map[string]string{"no folder": filepath.Join(folder, "none"), "no socket": folder} {
		t.Run(name, func(t *testing.T) {
			command(t, "env", "list", "acme/shop", "--data="+data).says(t, exitFailed, "no Vitrine serves from "+data, "vitrine serve", "--data")
		})
	}
	// A server that was killed leaves its socket.
	t.Run("a dead socket", func(t *testing.T) {
		listener, err := net.Listen("unix", filepath.Join(folder, socketFile))
		if err != nil {
			t.Fatal(err)
		}
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		listener.Close()
		command(t, "env", "list", "acme/shop", "--data="+folder).says(t, exitFailed, "no Vitrine serves from "+folder)
	})
}

// The socket takes the place of a dead one, is its owner's alone, and a data folder may lie deeper than a socket's address is long.
func TestControlSocket(t *testing.T) {
	s := testSettings(t)
	s.Data = filepath.Join(t.TempDir(), strings.Repeat("deep/", 20), "data")
	if err := os.MkdirAll(s.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Data, socketFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	data := withServer(t, s)
	info, err := os.Stat(filepath.Join(data, socketFile))
	if err != nil || info.Mode()&os.ModeSocket == 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket is %v: %v", info.Mode(), err)
	}
	command(t, "env", "set", "acme/shop", "A=b", "--data="+data).says(t, exitOK, "Set for acme/shop: A.")
}
