// Package firewall keeps previews and builds away from what is none of theirs: the host, the control plane, other previews and private networks. It owns
// the kernel's packet filter: one table of nftables for each instance, "vitrine_<instance>", and touches nothing else there.
package firewall
