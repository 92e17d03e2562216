package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// LeakSearch looks for secrets in what a broker shows: to those who read its
// files, list its process or ask its admin server. Every suite that makes users
// ends with one.
type LeakSearch struct {
	// Secrets are passwords, tokens, keys. Short ones (below shortestSecret bytes)
	// are refused: they would be found by chance.
	Secrets []string
	// Paths are files, and directories with all that is below them.
	Paths []string
	// PID is the broker's process, whose arguments everybody on the machine can
	// read; 0 for none.
	PID int
	// Admin is the admin server's URL, "" for none; User and Password open it.
	Admin          string
	User, Password string
	Client         *http.Client // nil for the default one
}

// Leak is a secret where it should not be. It does not repeat it.
type Leak struct {
	Where  string
	Secret int // its place in Secrets
	Form   string
}

func (l Leak) String() string {
	return fmt.Sprintf("%s holds secret %d (%s)", l.Where, l.Secret, l.Form)
}

const shortestSecret = 6

// leakPages are what the admin server is asked for; those that it does not have
// are passed over.
var leakPages = []string{"/", "/metrics", "/v1/broker", "/v1/topics", "/v1/groups", "/v1/transactions", "/v1/disks", "/v1/traces",
	"/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap", "/debug/pprof/trace?seconds=1"}

// form is one way to write a secret.
type form struct {
	secret int
	name   string
	text   []byte
}

// forms are the ways to write the secrets: as they are, in hexadecimal, in base
// 64 at each of its three alignments, so that a secret within a longer token is
// found too, and with the escapes of JSON and Go.
func (s *LeakSearch) forms() ([]form, error) {
	var all []form
	for i, secret := range s.Secrets {
		if len(secret) < shortestSecret {
			return nil, fmt.Errorf("secret %d has %d bytes; one of less than %d would be found by chance", i, len(secret), shortestSecret)
		}
		b := []byte(secret)
		all = append(all, form{i, "as it is", b}, form{i, "hexadecimal", []byte(hex.EncodeToString(b))},
			form{i, "hexadecimal", bytes.ToUpper([]byte(hex.EncodeToString(b)))})
		if quoted := strconv.Quote(secret); quoted[1:len(quoted)-1] != secret {
			all = append(all, form{i, "quoted", []byte(quoted[1 : len(quoted)-1])})
		}
		for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			for before := range 3 {
				text := encoding.EncodeToString(append(make([]byte, before), b...))
				// The first and the last characters mix with what stands beside.
				from, to := (before*8+5)/6, (before+len(b))*8/6
				all = append(all, form{i, "base 64", []byte(text[from:to])})
			}
		}
	}
	return all, nil
}

// Find gives the leaks. An error says that something could not be looked at.
func (s *LeakSearch) Find(ctx context.Context) ([]Leak, error) {
	forms, err := s.forms()
	if err != nil {
		return nil, err
	}
	var leaks []Leak
	look := func(where string, text []byte) {
		for _, f := range forms {
			if bytes.Contains(text, f.text) {
				leaks = append(leaks, Leak{where, f.secret, f.name})
			}
		}
	}
	var errs []error
	file := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a log may be deleted meanwhile
			errs = append(errs, err)
		}
		look(path, text)
	}
	for _, root := range s.Paths {
		if _, err := os.Stat(root); err != nil {
			return nil, fmt.Errorf("nothing can be looked for in %s: %w", root, err)
		}
		errs = append(errs, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				file(path)
			}
			return err
		}))
	}
	if s.PID != 0 {
		arguments := fmt.Sprintf("/proc/%d/cmdline", s.PID)
		if _, err := os.Stat(arguments); err != nil {
			return nil, fmt.Errorf("the broker's arguments cannot be looked at: %w", err)
		}
		file(arguments)
	}
	if s.Admin != "" {
		answered := 0
		for _, page := range leakPages {
			text, ok, err := s.page(ctx, page)
			errs = append(errs, err)
			if ok {
				answered++
			}
			look(s.Admin+page, text)
		}
		if answered == 0 {
			errs = append(errs, fmt.Errorf("the admin server at %s shows none of its pages", s.Admin))
		}
	}
	return leaks, errors.Join(errs...)
}

// page gets a page; its refusal counts as its text.
func (s *LeakSearch) page(ctx context.Context, page string) (text []byte, ok bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Admin+page, nil)
	if err != nil {
		return nil, false, err
	}
	if s.User != "" {
		req.SetBasicAuth(s.User, s.Password)
	}
	client := s.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return text, resp.StatusCode == http.StatusOK, err
}
