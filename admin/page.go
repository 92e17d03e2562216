package admin

import (
	_ "embed" // for the page
	"net/http"
)

//go:embed page.html
var pageHTML []byte

// page is one self-contained page over the JSON views: nothing is loaded from
// elsewhere.
func (s *Server) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
	if _, err := w.Write(pageHTML); err != nil {
		s.o.Logger.Debug("the page could not be sent", "error", err)
	}
}
