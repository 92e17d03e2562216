package vfs

// edge is a name in a directory; the zero value is none.
type edge struct {
	dir  *node
	name string
}

// nameOp is one change of the namespace: to alone creates, from alone removes,
// both rename. It is durable once every directory it touches was synced after
// it, and then so is everything before it that it builds on.
type nameOp struct {
	node                 *node
	from, to             edge
	fromSynced, toSynced bool
}

func (o *nameOp) touches(edges map[edge]bool) bool {
	return o.from.dir != nil && edges[o.from] || o.to.dir != nil && edges[o.to]
}

func (o *nameOp) addTo(edges map[edge]bool) {
	if o.from.dir != nil {
		edges[o.from] = true
	}
	if o.to.dir != nil {
		edges[o.to] = true
	}
}

func (o *nameOp) synced() bool {
	return (o.from.dir == nil || o.fromSynced) && (o.to.dir == nil || o.toSynced)
}

// change shows an operation and queues it.
func (m *Mem) change(o *nameOp) {
	o.show()
	m.pending = append(m.pending, o)
}

// show applies an operation to what the process sees.
func (o *nameOp) show() {
	if o.from.dir != nil {
		delete(o.from.dir.children, o.from.name)
	}
	if o.to.dir != nil {
		o.to.dir.children[o.to.name] = o.node
	}
}

// persist applies an operation to what a power cut leaves.
func (o *nameOp) persist() {
	if o.from.dir != nil {
		delete(o.from.dir.durable, o.from.name)
	}
	if o.to.dir != nil {
		o.to.dir.durable[o.to.name] = o.node
	}
}

// syncNames makes the names of one directory durable. A rename between two
// directories waits for the other one too, unless something that is durable
// now builds on it.
func (m *Mem) syncNames(dir *node) {
	for _, o := range m.pending {
		o.fromSynced = o.fromSynced || o.from.dir == dir
		o.toSynced = o.toSynced || o.to.dir == dir
	}
	must := map[edge]bool{}
	keep := make([]bool, len(m.pending)) // stays pending
	for i := len(m.pending) - 1; i >= 0; i-- {
		o := m.pending[i]
		if o.synced() || o.touches(must) {
			o.addTo(must)
		} else {
			keep[i] = true
		}
	}
	rest := m.pending[:0]
	for i, o := range m.pending {
		if keep[i] {
			rest = append(rest, o)
		} else {
			o.persist()
		}
	}
	clear(m.pending[len(rest):])
	m.pending = rest
}
