package firewall

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

func policies() map[string]Policy {
	addr, network := netip.MustParseAddr, netip.MustParsePrefix
	pool := network("10.213.0.0/16")
	return map[string]Policy{
		"least": {Instance: "3f2a91c0", Pool: pool},
		"full": {
			Instance: "my-instance", Pool: pool, BuildBridge: "docker0",
			Resolvers: []netip.Addr{addr("10.255.255.53"), addr("127.0.0.53"), addr("2001:db8::53"), addr("10.255.255.53"), addr("192.0.2.53")},
			Listener:  netip.MustParseAddrPort("0.0.0.0:8080"),
			Allow: []Destination{
				{Network: network("10.1.2.0/24")}, {Network: network("10.1.3.4/32"), Port: 5432}, {Network: network("172.20.0.0/14"), Port: 443},
				{Network: network("10.9.9.9/32")},
			},
		},
		"listener": {Instance: "3f2a91c0", Pool: pool, Listener: netip.MustParseAddrPort("203.0.113.7:443")},
	}
}

func TestTable(t *testing.T) {
	for name, p := range policies() {
		t.Run(name, func(t *testing.T) {
			got := newTable(p).String()
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDestination(t *testing.T) {
	for text, want := range map[string]string{
		"10.1.2.3": "10.1.2.3", "10.1.2.0/24": "10.1.2.0/24", "10.1.2.3:5432": "10.1.2.3:5432", "10.1.2.3/32": "10.1.2.3", "10.1.2.0/24:443": "10.1.2.0/24:443",
	} {
		d, err := ParseDestination(text)
		if err != nil || d.String() != want {
			t.Errorf("ParseDestination(%q) = %s, %v, want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "db.internal", "::1", "[::1]:80", "fd00::/8", "10.1.2.3/24", "10.1.2.3:0", "10.1.2.3:65536", "10.1.2.3:", "10.1.2.0/33", "10.1.2.3:http"} {
		if d, err := ParseDestination(text); err == nil {
			t.Errorf("ParseDestination(%q) = %s, want an error", text, d)
		}
	}
}

func FuzzParseDestination(f *testing.F) {
	f.Add("10.1.2.0/24:443")
	f.Add("10.1.2.3:1:2")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDestination(text)
		if err != nil {
			return
		}
		again, err := ParseDestination(d.String())
		if err != nil || again != d {
			t.Errorf("%q is %s, which is read as %s, %v", text, d, again, err)
		}
		if !d.Network.Addr().Is4() || len(d.rules()) == 0 {
			t.Errorf("%q makes %s", text, d)
		}
	})
}
