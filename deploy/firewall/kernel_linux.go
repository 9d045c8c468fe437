package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// Apply brings the kernel's table to the policy, in the network namespace of this process. It reports whether the table was missing or another; then it is
// replaced in one step, so that at no moment there is none. It needs CAP_NET_ADMIN: without, the error is an EPERM.
func Apply(p Policy) (changed bool, err error) {
	want := newTable(p)
	c, err := nftables.New()
	if err != nil {
		return false, fmt.Errorf("open the kernel's packet filter: %w", err)
	}
	if same, err := stands(c, want); same || err != nil {
		return false, err
	}
	replace(c, want)
	if err := c.Flush(); err != nil {
		return false, fmt.Errorf("install table %s: %w", want.name, err)
	}
	same, err := stands(c, want)
	if err == nil && !same {
		err = fmt.Errorf("install table %s: the kernel has another one than it was given", want.name)
	}
	return true, err
}

// Remove takes the table of an instance away. One that is not there is no error.
func Remove(instance string) error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("open the kernel's packet filter: %w", err)
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: tableName(instance)}
	// What is there for sure can be removed without looking before.
	c.AddTable(t)
	c.DelTable(t)
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove table %s: %w", t.Name, err)
	}
	return nil
}

// replace has the next Flush remove the table, if it is there, and make it anew.
func replace(c *nftables.Conn, want table) {
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: want.name}
	c.AddTable(t)
	c.DelTable(t)
	c.AddTable(t)
	chains := make([]*nftables.Chain, len(want.chains))
	for i, w := range want.chains {
		chains[i] = &nftables.Chain{Name: w.name, Table: t}
		if w.hook != "" {
			policy := nftables.ChainPolicyAccept
			chains[i].Type, chains[i].Hooknum, chains[i].Priority, chains[i].Policy = nftables.ChainTypeFilter, hooks(w.hook), nftables.ChainPriorityFilter, &policy
		}
		c.AddChain(chains[i])
	}
	for i, w := range want.chains {
		for _, r := range w.rules {
			c.AddRule(&nftables.Rule{Table: t, Chain: chains[i], Exprs: r.exprs(), UserData: mark(r)})
		}
	}
}

func hooks(way string) *nftables.ChainHook {
	if way == intoHost {
		return nftables.ChainHookInput
	}
	return nftables.ChainHookForward
}

// markType is the kind of a rule's user data that is nobody else's: nft shows it not.
const markType = userdata.Type(128)

// mark is what a rule carries to be known by again.
func mark(r rule) []byte { return userdata.AppendString(nil, markType, r.String()) }

// stands reports whether the kernel has the table as it is to be.
func stands(c *nftables.Conn, want table) (bool, error) {
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, fmt.Errorf("list the kernel's chains: %w", err)
	}
	chains = slices.DeleteFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name != want.name })
	if len(chains) != len(want.chains) {
		return false, nil
	}
	for _, w := range want.chains {
		i := slices.IndexFunc(chains, func(c *nftables.Chain) bool { return c.Name == w.name })
		if i < 0 || !sameHook(chains[i], w) {
			return false, nil
		}
		rules, err := c.GetRules(chains[i].Table, chains[i])
		if errors.Is(err, unix.ENOENT) { // somebody has just removed it
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("list the rules of chain %s: %w", w.name, err)
		}
		if !slices.EqualFunc(rules, w.rules, sameRule) {
			return false, nil
		}
	}
	return true, nil
}

func sameHook(c *nftables.Chain, w chain) bool {
	if w.hook == "" {
		return c.Hooknum == nil
	}
	return c.Hooknum != nil && *c.Hooknum == *hooks(w.hook) && c.Priority != nil && *c.Priority == *nftables.ChainPriorityFilter
}

// sameRule reports whether the kernel's rule is the one that was given to it.
func sameRule(got *nftables.Rule, want rule) bool {
	text, ok := userdata.GetString(got.UserData, markType)
	return ok && text == want.String() && len(got.Exprs) == len(want.exprs())
}

// register is the one that conditions load what they compare into.
const register = 1

// exprs returns the rule in the kernel's terms.
func (r rule) exprs() []expr.Any {
	var e []expr.Any
	if r.from != "" {
		e = append(e, &expr.Meta{Key: expr.MetaKeyIIFNAME, Register: register}, equals(interfaceName(r.from)))
	}
	if r.answer {
		e = append(e, &expr.Ct{Key: expr.CtKeyDIRECTION, Register: register}, equals([]byte{1})) // IP_CT_DIR_REPLY
		e = append(e, state(expr.CtStateBitESTABLISHED)...)
	}
	if r.broken {
		e = append(e, state(expr.CtStateBitRELATED)...)
		e = append(e, protocol(unix.IPPROTO_ICMP)...)
	}
	if r.ipv6 {
		e = append(e, family(unix.NFPROTO_IPV6)...)
	}
	if r.home {
		e = append(e, &expr.Fib{Register: register, ResultOIF: true, FlagDADDR: true, FlagIIF: true, FlagPRESENT: true}, equals(binaryutil.NativeEndian.PutUint32(1)))
	}
	if r.to.IsValid() {
		e = append(e, destination(r)...)
	}
	if r.proto != "" {
		e = append(e, protocol(map[string]byte{"tcp": unix.IPPROTO_TCP, "udp": unix.IPPROTO_UDP}[r.proto])...)
		e = append(e, &expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
			equals(binary.BigEndian.AppendUint16(nil, r.port)))
	}
	return append(e, r.then.expr())
}

// destination compares the destination address of IPv4 (RFC 791, §3.1).
func destination(r rule) []expr.Any {
	e := append(family(unix.NFPROTO_IPV4), &expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4})
	if !r.to.IsSingleIP() {
		e = append(e, &expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: net.CIDRMask(r.to.Bits(), 32), Xor: make([]byte, 4)})
	}
	return append(e, equals(r.to.Masked().Addr().AsSlice()))
}

func equals(b []byte) *expr.Cmp { return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: b} }

// interfaceName returns what an interface's name is compared with: all of its bytes, or so many as a prefix has.
func interfaceName(name string) []byte {
	if last := len(name) - 1; name[last] == '*' {
		return []byte(name[:last])
	}
	return append([]byte(name), make([]byte, unix.IFNAMSIZ-len(name))...)
}

func state(bit uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: register},
		&expr.Bitwise{SourceRegister: register, DestRegister: register, Len: 4, Mask: binaryutil.NativeEndian.PutUint32(bit), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: make([]byte, 4)},
	}
}

func family(f byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register}, equals([]byte{f})}
}

func protocol(p byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register}, equals([]byte{p})}
}

func (v verdict) expr() expr.Any {
	switch v {
	case accept:
		return &expr.Verdict{Kind: expr.VerdictAccept}
	case reject:
		return &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}
	}
	return &expr.Verdict{Kind: expr.VerdictJump, Chain: string(v[len(jump("")):])}
}
