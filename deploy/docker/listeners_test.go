package docker

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const someSockets = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 02D5D60A:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:0BB8 00000000000000000000000000000000:0000 0A 00000000:00000000
   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000
`

func TestListeners(t *testing.T) {
	want := []netip.AddrPort{netip.MustParseAddrPort("[::1]:80"), netip.MustParseAddrPort("[::]:3000"), netip.MustParseAddrPort("127.0.0.1:8080")}
	if diff := cmp.Diff(want, listeners([]byte(someSockets)), cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
		t.Errorf("listeners (-want +got):\n%s", diff)
	}
}

// FuzzListeners holds that a table, which may come from a stranger's container, gives valid addresses or none.
func FuzzListeners(f *testing.F) {
	f.Add([]byte(someSockets))
	f.Add([]byte("0: zz:1 x 0A"))
	f.Fuzz(func(t *testing.T, tables []byte) {
		for _, at := range listeners(tables) {
			if !at.IsValid() {
				t.Fatal(fmt.Sprint("not valid: ", at))
			}
		}
	})
}
