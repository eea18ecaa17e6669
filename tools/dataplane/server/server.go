package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"sync"

	"github.com/haproxytech/client-native/v5/configuration"
	configuration_options "github.com/haproxytech/client-native/v5/configuration/options"
	"github.com/haproxytech/client-native/v5/runtime"
	runtime_options "github.com/haproxytech/client-native/v5/runtime/options"
	"github.com/haproxytech/client-native/v5/storage"
)

// Server answers the Data Plane API for one HAProxy. It is an http.Handler.
type Server struct {
	config  Config
	log     *log.Logger
	handler http.Handler
	reloads *reloader

	runtime runtime.Runtime
	maps    storage.Storage
	general storage.Storage

	// change is held over a whole change of the configuration with its reload:
	// one at a time.
	change sync.Mutex
	// file guards configuration alone, which is not safe for concurrent use.
	// It is never held over a reload, so that reads go on meanwhile.
	file          sync.Mutex
	configuration configuration.Configuration
}

// New reads the HAProxy configuration and returns a server for it. HAProxy need
// not run yet. Close ends its background work.
func New(config Config) (*Server, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{config: config, log: log.New(config.Log, "", log.LstdFlags)}
	s.configuration, err = configuration.New(context.Background(),
		configuration_options.ConfigurationFile(config.HAProxyConfig),
		configuration_options.HAProxyBin(config.HAProxyBin),
		configuration_options.TransactionsDir(config.TransactionDir),
		configuration_options.UsePersistentTransactions,
		configuration_options.UseModelsValidation,
		configuration_options.MasterWorker,
	)
	if err != nil {
		return nil, fmt.Errorf("read haproxy configuration: %w", err)
	}
	s.runtime, err = runtime.New(context.Background(),
		runtime_options.MapsDir(config.MapsDir),
		runtime_options.Socket(config.RuntimeSocket),
		runtime_options.DoNotCheckRuntimeOnInit,
	)
	if err != nil {
		return nil, fmt.Errorf("prepare runtime client: %w", err)
	}
	if s.maps, err = storage.New(config.MapsDir, storage.MapsType); err != nil {
		return nil, fmt.Errorf("open maps directory: %w", err)
	}
	if s.general, err = storage.New(config.GeneralDir, storage.GeneralType); err != nil {
		return nil, fmt.Errorf("open directory of general files: %w", err)
	}
	if s.reloads, err = newReloader(config, s.runtime, s.log); err != nil {
		return nil, err
	}
	s.handler = s.recovered(s.authenticated(s.versioned(s.guarded(s.routes()))))
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends the background work and waits for it; a scheduled reload that has
// not begun is dropped. It may be called twice.
func (s *Server) Close() { s.reloads.close() }

// withFile runs f while nothing else uses the configuration; a panic inside
// client-native must not leave it locked.
func (s *Server) withFile(f func()) {
	s.file.Lock()
	defer s.file.Unlock()
	f()
}

// recovered answers a panic as the real program does: 500, and what happened as
// plain text. An empty bulk PUT is such a case inside client-native, and so is
// the list of a map that has a row without a value.
func (s *Server) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			cause := recover()
			if cause == http.ErrAbortHandler {
				panic(cause)
			}
			if cause != nil {
				s.log.Printf("panic in %s %s: %v", r.Method, r.Pattern, cause)
				w.Header().Set("Content-Type", "text/plain; charset=utf-8")
				w.WriteHeader(http.StatusInternalServerError)
				// An error here is a client that has gone: nobody is left to tell.
				_ = json.NewEncoder(w).Encode(map[string]any{"code": http.StatusInternalServerError, "message": fmt.Sprint(cause)})
			}
		}()
		next.ServeHTTP(w, r)
	})
}
