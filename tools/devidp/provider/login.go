package provider

import (
	"context"
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// contentSecurityPolicy has no form-action: browsers apply it to the redirect to the client as well.
const contentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

// maxForm bounds a submitted form, in bytes.
const maxForm = 16 << 10

//go:embed login.html
var loginHTML string

var loginTemplate = template.Must(template.New("login").Parse(loginHTML))

// loginPage asks for e-mail address and password.
type loginPage struct {
	storage  *storage
	callback func(ctx context.Context, requestID string) string
}

// loginView is what the page shows.
type loginView struct {
	Request, Email, Error string
	Accounts              []User
	// Expired shows no form.
	Expired bool
}

func (p *loginPage) show(w http.ResponseWriter, r *http.Request) {
	request, err := p.storage.request(r.URL.Query().Get("request"))
	if err != nil {
		p.render(w, http.StatusBadRequest, loginView{Expired: true})
		return
	}
	p.render(w, http.StatusOK, loginView{Request: request.id, Email: request.asked.LoginHint})
}

func (p *loginPage) submit(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	id, email := r.PostForm.Get("request"), r.PostForm.Get("email")
	if !authenticate(p.storage.users, email, r.PostForm.Get("password")) {
		p.render(w, http.StatusUnauthorized, loginView{Request: id, Email: email, Error: "Wrong e-mail address or password."})
		return
	}
	if err := p.storage.logIn(id, email); err != nil {
		p.render(w, http.StatusBadRequest, loginView{Expired: true})
		return
	}
	http.Redirect(w, r, p.callback(r.Context(), id), http.StatusSeeOther)
}

func (p *loginPage) render(w http.ResponseWriter, status int, view loginView) {
	for _, user := range p.storage.users {
		view.Accounts = append(view.Accounts, user)
	}
	slices.SortFunc(view.Accounts, func(a, b User) int { return strings.Compare(a.Email, b.Email) })
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", contentSecurityPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The status is out: a broken connection is all that can go wrong now.
	_ = loginTemplate.Execute(w, view)
}
