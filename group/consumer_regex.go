package group

import (
	"maps"
	"regexp"
	"slices"
	"time"
)

// Subscriptions by regular expression are RE2 and are resolved here, against
// the topics that the asking member may describe. That takes a look at every
// topic, so it runs away from the shard's goroutine; its outcome is an
// operation of its own.

// regexBatch is the least time between two resolutions of a group, so that
// many members with new patterns share one. A new topic reaches a group's
// pattern so much late at worst; Kafka's REGEX_BATCH_REFRESH_MIN_INTERVAL_MS is
// the same. Partitions added to a matched topic do not wait for it.
const regexBatch = 10 * time.Second

// resolveWait is how long a resolution that does not come back holds up the
// next one: its goroutine found the shard's mailbox full.
const resolveWait = time.Minute

// regex sees to a member's pattern: a changed one must parse, an unused one is
// forgotten, and the group's are resolved anew when they must be. changed says
// that the member's pattern is another one, resolved that the topics of the
// new one are known.
func (w *work) regex(now time.Time, cl Client, old, m *consumerMember) (changed, resolved bool, bad *refusal) {
	g, before, after := w.g, old.sub.regex, m.sub.regex
	must := false
	if before != after {
		changed = true
		if before != "" && g.patterns[before] == 1 {
			w.add(&regexChange{group: g.id, regex: before, removed: true})
		}
		switch {
		case after == "":
			resolved = before != ""
		case g.patterns[after] == 0:
			if bad := checkRegex(after); bad != nil {
				return false, false, bad
			}
			must = true
		default:
			_, resolved = g.regexes[after]
		}
	}
	if !must && len(g.patterns) == 0 || now.Before(g.resolving) {
		return changed, resolved, nil
	}
	atMs, version := g.lastResolved()
	if !must && now.UnixMilli() <= atMs+regexBatch.Milliseconds() {
		return changed, resolved, nil
	}
	patterns := maps.Clone(g.patterns)
	if patterns == nil {
		patterns = map[string]int{}
	}
	if before != "" {
		add(patterns, before, -1)
	}
	if after != "" {
		add(patterns, after, 1)
	}
	must = must || len(patterns) != len(g.regexes) ||
		version < w.s.newTopics || now.UnixMilli() > atMs+w.s.cfg().regexRefresh.Milliseconds()
	if must && len(patterns) > 0 {
		w.resolve, w.client = slices.Sorted(maps.Keys(patterns)), cl
	}
	return changed, resolved, nil
}

// lastResolved is when, and at which version of the metadata, the group's
// patterns were last resolved.
func (g *consumerGroup) lastResolved() (atMs, version int64) {
	first := true
	for _, r := range g.regexes {
		if first || r.atMs < atMs {
			atMs, version, first = r.atMs, r.version, false
		}
	}
	return atMs, version
}

func (s *state) startResolve(now time.Time, g *consumerGroup, cl Client, patterns []string) {
	if s.resolve == nil || now.Before(g.resolving) {
		return
	}
	g.resolving = now.Add(resolveWait)
	id := g.id
	s.resolve(cl, patterns, func(now time.Time, found map[string]resolvedRegex) {
		if e := s.groups[id]; e != nil && e.consumer == g {
			g.resolving = time.Time{}
			s.resolved(now, g, found)
		}
	})
}

// resolved takes the topics that patterns matched; when they are others than
// before the group gets a new epoch.
func (s *state) resolved(now time.Time, g *consumerGroup, found map[string]resolvedRegex) {
	var cs []change
	bump := false
	after := maps.Clone(g.regexes)
	if after == nil {
		after = map[string]resolvedRegex{}
	}
	for _, pattern := range slices.Sorted(maps.Keys(found)) {
		if g.patterns[pattern] == 0 {
			continue
		}
		if !slices.Equal(g.regexes[pattern].topics, found[pattern].topics) {
			bump = true
		}
		after[pattern] = found[pattern]
		cs = append(cs, &regexChange{group: g.id, regex: pattern, resolved: found[pattern]})
	}
	if !s.fits(cs) {
		return
	}
	view := *g
	view.regexes = after
	img, _ := s.img()
	if hash := hashTopics(view.names(nil, nil), img); bump || hash != g.hash {
		cs = append(cs, &groupEpochChange{group: g.id, epoch: g.epoch + 1, hash: hash})
		g.refreshAt = now.Add(metadataRefresh)
	}
	for _, c := range cs {
		s.write(c)
	}
}

// matchTopics finds the topics that each pattern matches in full and that may
// be described.
func matchTopics(patterns []string, img catalog, version int64, may func(topic string) bool, now time.Time) map[string]resolvedRegex {
	found := make(map[string]resolvedRegex, len(patterns))
	for _, pattern := range patterns {
		re, err := regexp.Compile(`^(?:` + pattern + `)$`)
		if err != nil {
			continue // it parsed by itself when it came: only odd ones fail here
		}
		r := resolvedRegex{version: version, atMs: now.UnixMilli()}
		for _, t := range img.Topics() {
			if re.MatchString(t.Name) && may(t.Name) {
				r.topics = append(r.topics, t.Name)
			}
		}
		slices.Sort(r.topics)
		found[pattern] = r
	}
	return found
}
