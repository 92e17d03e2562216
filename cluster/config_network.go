package cluster

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// brokerNetwork is listeners, connections, requests and quota windows.
var brokerNetwork = []ConfigDef{
	{Name: "advertised.listeners", Type: TypeList, NullDefault: true, Check: listenerList(false),
		Doc: "The addresses that clients are told, by listener. Without it a client is told the address that it connected to."},
	{Name: "client.quota.callback.class", Type: TypeClass, NullDefault: true, Unused: true,
		Doc: "A Java class that decides on quotas. Classes of the JVM cannot be loaded here."},
	{Name: "connection.failed.authentication.delay.ms", Type: TypeInt, Default: "100", Check: atLeast(0),
		Doc: "How long the answer to a failed authentication is held back, in milliseconds, so that guessing is slow."},
	{Name: "connections.max.idle.ms", Type: TypeLong, Default: "600000",
		Doc: "How long a connection may be silent before it is closed, in milliseconds."},
	{Name: "connections.max.reauth.ms", Type: TypeLong, Default: "0",
		Doc: "How long an authentication holds, in milliseconds, before the client must renew it or lose the connection. 0 sets no limit."},
	{Name: "controller.quota.window.num", Type: TypeInt, Default: "11", Check: atLeast(1),
		Doc: "Windows over which the rate of changes to topics is measured."},
	{Name: "controller.quota.window.size.seconds", Type: TypeInt, Default: "1", Check: atLeast(1),
		Doc: "Length of each of those windows, in seconds."},
	{Name: "listener.security.protocol.map", Type: TypeString, Default: "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", Dynamic: PerBroker, AtStart: true, Check: protocolMap,
		Doc: "Which protocol each listener speaks, as NAME:PROTOCOL pairs."},
	{Name: "listeners", Type: TypeList, Default: "PLAINTEXT://:9092", Dynamic: PerBroker, AtStart: true, Check: listenerList(true),
		Doc: "Where the broker listens, as NAME://host:port. Without a host it is every interface, with port 0 any free port."},
	{Name: "max.connection.creation.rate", Type: TypeInt, Default: maxInt32, Dynamic: ClusterWide, Check: atLeast(0),
		Doc: "New connections per second that are accepted in all; further ones wait for their turn."},
	{Name: "max.connections", Type: TypeInt, Default: maxInt32, Dynamic: ClusterWide, Check: atLeast(0),
		Doc: "Connections that are open at the same time in all."},
	{Name: "max.connections.per.ip", Type: TypeInt, Default: maxInt32, Dynamic: ClusterWide, Check: atLeast(0),
		Doc: "Connections from one address that are open at the same time."},
	{Name: "max.connections.per.ip.overrides", Type: TypeString, Default: "", Dynamic: ClusterWide, Check: ipOverrides,
		Doc: "Exceptions from max.connections.per.ip, as host:number pairs."},
	{Name: "num.io.threads", Type: TypeInt, Default: "8", Dynamic: ClusterWide, Check: atLeast(1),
		Doc: "Workers for requests that wait or take long, such as administration and the conversion of records; event loops answer the others."},
	{Name: "num.network.threads", Type: TypeInt, Default: "3", Dynamic: ClusterWide, Check: atLeast(1), Unused: true,
		Doc: "Threads that read and write sockets in Kafka. Here event loops do; --loops is their number."},
	{Name: "queued.max.request.bytes", Type: TypeLong, Default: "-1",
		Doc: "Bytes of requests that may be in memory before reading stops; -1 leaves it to the broker's own limit."},
	{Name: "queued.max.requests", Type: TypeInt, Default: "500", Check: atLeast(1), Unused: true,
		Doc: "Requests that wait for a thread in Kafka. Here each connection has its own limit."},
	{Name: "quota.window.num", Type: TypeInt, Default: "11", Check: atLeast(1),
		Doc: "Windows over which the rates of clients are measured."},
	{Name: "quota.window.size.seconds", Type: TypeInt, Default: "1", Check: atLeast(1),
		Doc: "Length of each of those windows, in seconds."},
	{Name: "socket.connection.setup.timeout.max.ms", Type: TypeLong, Default: "30000", Check: atLeast(0), Unused: true,
		Doc: "The longest wait for a connection to another broker. A single node has no other."},
	{Name: "socket.connection.setup.timeout.ms", Type: TypeLong, Default: "10000", Check: atLeast(0), Unused: true,
		Doc: "The first wait for a connection to another broker. A single node has no other."},
	{Name: "socket.listen.backlog.size", Type: TypeInt, Default: "50", Check: atLeast(1),
		Doc: "Connections that the kernel holds until the broker accepts them."},
	{Name: "socket.receive.buffer.bytes", Type: TypeInt, Default: "102400", Check: atLeast(-1),
		Doc: "The kernel's receive buffer of each connection, in bytes. -1 leaves it to the kernel, and so does not setting it."},
	{Name: "socket.request.max.bytes", Type: TypeInt, Default: "104857600", Check: atLeast(1),
		Doc: "The largest request, in bytes; a larger one closes its connection."},
	{Name: "socket.send.buffer.bytes", Type: TypeInt, Default: "102400", Check: atLeast(-1),
		Doc: "The kernel's send buffer of each connection, in bytes. -1 leaves it to the kernel, and so does not setting it."},
}

// listenerList takes NAME://host:port items with different names; bind says
// that the host may be empty and the port 0.
func listenerList(bind bool) func(string) error {
	return func(v string) error {
		names := map[string]bool{}
		for _, item := range SplitList(v) {
			name, address, found := strings.Cut(item, "://")
			if !found || name == "" {
				return fmt.Errorf("%q is not of the form NAME://host:port", item)
			}
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return fmt.Errorf("%q has no host and port: %w", item, err)
			}
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return fmt.Errorf("%q has a port that is not a number from 0 to 65535", item)
			}
			if !bind && (host == "" || host == "0.0.0.0" || host == "::" || n == 0) {
				return fmt.Errorf("%q cannot be reached by anybody: an advertised listener needs a real host and port", item)
			}
			if name = strings.ToUpper(name); names[name] {
				return fmt.Errorf("listener %s stands there twice", name)
			}
			names[name] = true
		}
		if len(names) == 0 {
			return fmt.Errorf("it must name at least one listener")
		}
		return nil
	}
}

func protocolMap(v string) error {
	for _, item := range SplitList(v) {
		name, protocol, found := strings.Cut(item, ":")
		if !found || name == "" || oneOfFold("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")(protocol) != nil {
			return fmt.Errorf("%q is not a pair of a listener and one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", item)
		}
	}
	return nil
}

func ipOverrides(v string) error {
	for _, item := range SplitList(v) {
		at := strings.LastIndexByte(item, ':')
		if at < 1 || !isNumber(item[at+1:]) {
			return fmt.Errorf("%q is not a host:number pair", item)
		}
	}
	return nil
}
