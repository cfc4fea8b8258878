package redirect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Apply makes the table say what c says, whatever it said before. The kernel
// takes the whole of it or nothing.
func Apply(c Config) error {
	if err := c.check(); err != nil {
		return err
	}
	conn, err := nftables.New()
	if err != nil {
		return worded(err)
	}
	table := emptied(conn)
	table = conn.AddTable(table)
	accept := nftables.ChainPolicyAccept
	nat := conn.AddChain(&nftables.Chain{
		Name: "redirect", Table: table, Type: nftables.ChainTypeNAT, Policy: &accept,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: nat, Exprs: append(match(AddressIPv4, c),
		&expr.Immediate{Register: register, Data: binary.BigEndian.AppendUint16(nil, uint16(c.Port))},
		&expr.Redir{RegisterProtoMin: register})})
	filter := conn.AddChain(&nftables.Chain{
		Name: "refuse", Table: table, Type: nftables.ChainTypeFilter, Policy: &accept,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityFilter,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: filter, Exprs: append(match(AddressIPv6, c),
		&expr.Reject{Type: rejectReset})})
	return worded(conn.Flush())
}

// Remove takes the table away, if it is there.
func Remove() error {
	conn, err := nftables.New()
	if err != nil {
		return worded(err)
	}
	emptied(conn)
	return worded(conn.Flush())
}

// emptied deletes the table. It is made first, so that there is one to delete.
func emptied(conn *nftables.Conn) *nftables.Table {
	table := &nftables.Table{Name: Table, Family: nftables.TableFamilyINet}
	conn.AddTable(table)
	conn.DelTable(table)
	return table
}

// Registers of the expressions, header fields, and the kernel's numbers.
const (
	register     = 1
	dstIPv4      = 16
	dstIPv6      = 24
	dstPort      = 2
	protocolTCP  = 6
	protocolIPv4 = 2
	protocolIPv6 = 10
	rejectReset  = 1 // NFT_REJECT_TCP_RST
)

// match is: nfproto, daddr ADDRESS, tcp dport 80, skuid != UID.
func match(address string, c Config) []expr.Any {
	addr := netip.MustParseAddr(address)
	protocol, offset := byte(protocolIPv4), uint32(dstIPv4)
	if addr.Is6() {
		protocol, offset = protocolIPv6, dstIPv6
	}
	raw := addr.AsSlice()
	all := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: register},
		equal([]byte{protocol}),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(len(raw))},
		equal(raw),
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		equal([]byte{protocolTCP}),
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: dstPort, Len: 2},
		equal(binary.BigEndian.AppendUint16(nil, metadataPort)),
	}
	if c.ExemptUID != NoExemption {
		all = append(all,
			&expr.Meta{Key: expr.MetaKeySKUID, Register: register},
			&expr.Cmp{Op: expr.CmpOpNeq, Register: register, Data: binary.NativeEndian.AppendUint32(nil, uint32(c.ExemptUID))})
	}
	return all
}

func equal(data []byte) expr.Any {
	return &expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: data}
}

func worded(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPERM):
		return errors.Join(ErrPermission, err)
	}
	return fmt.Errorf("changing the packet filter: %w", err)
}
