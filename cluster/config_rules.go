package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The rules that the tables of keys are made of. Each is given values of the
// key's type and answers with the end of a sentence.

// atLeast takes numbers from min on.
func atLeast(min int64) func(string) error {
	return func(v string) error {
		if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < min {
			return fmt.Errorf("it must be at least %d", min)
		}
		return nil
	}
}

// between takes numbers from min to max.
func between(min, max int64) func(string) error {
	return func(v string) error {
		if n, err := strconv.ParseInt(v, 10, 64); err != nil || n < min || n > max {
			return fmt.Errorf("it must be between %d and %d", min, max)
		}
		return nil
	}
}

// unlimitedOr takes -1 for no limit and numbers from min on; 0 is neither.
func unlimitedOr(min int64) func(string) error {
	return func(v string) error {
		if n, err := strconv.ParseInt(v, 10, 64); err != nil || n != -1 && n < min {
			return fmt.Errorf("it must be -1 (no limit) or at least %d", min)
		}
		return nil
	}
}

// fraction takes decimals from min to max.
func fraction(min, max float64) func(string) error {
	return func(v string) error {
		if f, err := strconv.ParseFloat(v, 64); err != nil || f < min || f > max {
			return fmt.Errorf("it must be between %v and %v", min, max)
		}
		return nil
	}
}

// oneOf takes one of some words, as they are written.
func oneOf(words ...string) func(string) error {
	return func(v string) error {
		if !slices.Contains(words, v) {
			return fmt.Errorf("it must be one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

// oneOfFold is oneOf in any case.
func oneOfFold(words ...string) func(string) error {
	return func(v string) error {
		if !slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, v) }) {
			return fmt.Errorf("it must be one of %s", strings.Join(words, ", "))
		}
		return nil
	}
}

// someOf takes a comma-separated list of some words; empty says whether the
// list may be.
func someOf(empty bool, words ...string) func(string) error {
	return func(v string) error {
		list := SplitList(v)
		if len(list) == 0 && !empty {
			return fmt.Errorf("it must name at least one of %s", strings.Join(words, ", "))
		}
		for _, item := range list {
			if !slices.Contains(words, item) {
				return fmt.Errorf("%q is not one of %s", item, strings.Join(words, ", "))
			}
		}
		return nil
	}
}

// notEmpty takes any text but none.
func notEmpty(v string) error {
	if v == "" {
		return errors.New("it must not be empty")
	}
	return nil
}

// only takes one value and says why it takes no other.
func only(value, why string) func(string) error {
	return func(v string) error {
		if !strings.EqualFold(v, value) {
			return fmt.Errorf("it must be %q: %s", value, why)
		}
		return nil
	}
}

// SplitList splits a value of type LIST: commas, spaces around the items
// dropped, empty items too.
func SplitList(v string) []string {
	var list []string
	for item := range strings.SplitSeq(v, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}
