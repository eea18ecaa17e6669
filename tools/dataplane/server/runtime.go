package server

import (
	"net/http"

	"github.com/haproxytech/client-native/v5/models"
)

// apiVersion is what /info tells: the line of the real program that is followed.
const apiVersion = "v2.9 clutch-haproxy-access test data plane"

func (s *Server) getInfo(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, &models.Info{API: &models.InfoAPI{Version: apiVersion}, System: &models.InfoSystem{}})
}

func (s *Server) getHealth(w http.ResponseWriter, _ *http.Request) {
	health := models.Health{Haproxy: models.HealthHaproxyUp}
	if workerPID(s.runtime) == 0 {
		health.Haproxy = models.HealthHaproxyDown
	}
	answer(w, http.StatusOK, &health)
}

// getRuntimeInfo answers 200 also when HAProxy is down: each process then has an
// error field.
func (s *Server) getRuntimeInfo(w http.ResponseWriter, _ *http.Request) {
	info, err := s.runtime.GetInfo()
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, http.StatusOK, info)
}

// listRuntimeServers answers an empty list for an unknown backend and when
// HAProxy is down: client-native swallows the error.
func (s *Server) listRuntimeServers(w http.ResponseWriter, r *http.Request) {
	backend, ok := required(w, r, "backend")
	if !ok {
		return
	}
	servers, err := s.runtime.GetServersState(backend)
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	if servers == nil {
		servers = models.RuntimeServers{}
	}
	answer(w, http.StatusOK, servers)
}

func (s *Server) getRuntimeServer(w http.ResponseWriter, r *http.Request) {
	backend, ok := required(w, r, "backend")
	if !ok {
		return
	}
	server, err := s.runtime.GetServerState(backend, r.PathValue("name"))
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	answer(w, http.StatusOK, server)
}

func (s *Server) replaceRuntimeServer(w http.ResponseWriter, r *http.Request) {
	backend, ok := required(w, r, "backend")
	if !ok {
		return
	}
	var want models.RuntimeServer
	if !decode(w, r, &want) {
		return
	}
	server, err := s.setServer(backend, r.PathValue("name"), want)
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	answer(w, http.StatusOK, server)
}

// setServer changes the states that differ and reads the server again.
func (s *Server) setServer(backend, name string, want models.RuntimeServer) (*models.RuntimeServer, error) {
	is, err := s.runtime.GetServerState(backend, name)
	if err != nil {
		return nil, err
	}
	if want.OperationalState != "" && want.OperationalState != is.OperationalState {
		if err := s.runtime.SetServerHealth(backend, name, want.OperationalState); err != nil {
			return nil, err
		}
	}
	if want.AdminState != "" && want.AdminState != is.AdminState {
		if err := s.runtime.SetServerState(backend, name, want.AdminState); err != nil {
			return nil, err
		}
	}
	return s.runtime.GetServerState(backend, name)
}
