package server

import "net/http"

const haproxyPrefix = "/v2/services/haproxy"

// routes is the whole surface; every other path or method answers 404.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.noRoute)
	mux.HandleFunc("GET /v2/info", s.getInfo)
	mux.HandleFunc("GET /v2/health", s.getHealth)

	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /configuration/version": s.getConfigurationVersion,
		"GET /configuration/raw":     s.getRaw,
		"POST /configuration/raw":    s.postRaw,
		"GET /runtime/info":          s.getRuntimeInfo,

		"GET /transactions":         s.listTransactions,
		"POST /transactions":        s.startTransaction,
		"GET /transactions/{id}":    s.getTransaction,
		"PUT /transactions/{id}":    s.commitTransaction,
		"DELETE /transactions/{id}": s.deleteTransaction,

		"GET /configuration/backends":           s.listBackends,
		"POST /configuration/backends":          s.createBackend,
		"GET /configuration/backends/{name}":    s.getBackend,
		"PUT /configuration/backends/{name}":    s.replaceBackend,
		"DELETE /configuration/backends/{name}": s.deleteBackend,

		"GET /configuration/servers":           s.listServers,
		"POST /configuration/servers":          s.createServer,
		"GET /configuration/servers/{name}":    s.getServer,
		"PUT /configuration/servers/{name}":    s.replaceServer,
		"DELETE /configuration/servers/{name}": s.deleteServer,

		"GET /runtime/servers":        s.listRuntimeServers,
		"GET /runtime/servers/{name}": s.getRuntimeServer,
		"PUT /runtime/servers/{name}": s.replaceRuntimeServer,

		"GET /runtime/maps":           s.listMaps,
		"GET /runtime/maps/{name}":    s.getMap,
		"PUT /runtime/maps/{name}":    s.addMapPayload,
		"DELETE /runtime/maps/{name}": s.clearMap,

		"GET /runtime/maps_entries":         s.listMapEntries,
		"POST /runtime/maps_entries":        s.addMapEntry,
		"GET /runtime/maps_entries/{id}":    s.getMapEntry,
		"PUT /runtime/maps_entries/{id}":    s.replaceMapEntry,
		"DELETE /runtime/maps_entries/{id}": s.deleteMapEntry,

		"GET /reloads":      s.listReloads,
		"GET /reloads/{id}": s.getReload,
	} {
		mux.HandleFunc(underPrefix(pattern), handler)
	}
	for name, f := range map[string]shelf{"maps": s.mapFiles(), "general": s.generalFiles()} {
		for pattern, handler := range map[string]http.HandlerFunc{
			"GET /storage/" + name:                f.list,
			"POST /storage/" + name:               f.create,
			"GET /storage/" + name + "/{name}":    f.get,
			"PUT /storage/" + name + "/{name}":    f.replace,
			"DELETE /storage/" + name + "/{name}": f.remove,
		} {
			mux.HandleFunc(underPrefix(pattern), handler)
		}
	}
	return mux
}

// underPrefix turns "GET /x" into "GET <haproxyPrefix>/x".
func underPrefix(pattern string) string {
	for i := range pattern {
		if pattern[i] == ' ' {
			return pattern[:i+1] + haproxyPrefix + pattern[i+1:]
		}
	}
	return haproxyPrefix + pattern
}

func (s *Server) noRoute(w http.ResponseWriter, r *http.Request) {
	refuse(w, http.StatusNotFound, "path "+r.URL.Path+" was not found")
}
