package group

import "net/netip"

// Client is who sends a request.
type Client struct {
	ID        string
	Host      netip.Addr
	Principal string
	Listener  string
}

// host is the address as Kafka writes it into records and descriptions.
func (c Client) host() string { return "/" + c.Host.Unmap().String() }
