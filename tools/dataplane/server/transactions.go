package server

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/haproxytech/client-native/v5/models"
)

// maxTransactions is the real program's default limit of open transactions.
const maxTransactions = 20

// version is the configuration's, or that of an open transaction.
func (s *Server) version(transaction string) (int64, error) {
	s.file.Lock()
	defer s.file.Unlock()
	return s.configuration.GetConfigurationVersion(transaction)
}

func (s *Server) getConfigurationVersion(w http.ResponseWriter, r *http.Request) {
	version, err := s.version(r.URL.Query().Get("transaction_id"))
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	answer(w, http.StatusOK, version)
}

func (s *Server) listTransactions(w http.ResponseWriter, r *http.Request) {
	var list *models.Transactions
	var err error
	s.withFile(func() { list, err = s.configuration.GetTransactions(r.URL.Query().Get("status")) })
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	answer(w, http.StatusOK, list)
}

func (s *Server) startTransaction(w http.ResponseWriter, r *http.Request) {
	version, ok := version(w, r, true)
	if !ok {
		return
	}
	var full bool
	var transaction *models.Transaction
	var err error
	s.withFile(func() {
		if full = len(s.configuration.GetParserTransactions()) >= maxTransactions; !full {
			transaction, err = s.configuration.StartTransaction(version)
		}
	})
	if full {
		refuse(w, http.StatusTooManyRequests, fmt.Sprintf(
			"cannot start a new transaction, reached the maximum amount of %d active transactions available", maxTransactions))
		return
	}
	if err != nil {
		refuseConfiguration(w, err)
		return
	}
	answer(w, http.StatusCreated, transaction)
}

func (s *Server) transaction(id string) (*models.Transaction, error) {
	s.file.Lock()
	defer s.file.Unlock()
	return s.configuration.GetTransaction(id)
}

func (s *Server) getTransaction(w http.ResponseWriter, r *http.Request) {
	transaction, err := s.transaction(r.PathValue("id"))
	if err != nil {
		refuseTransaction(w, err)
		return
	}
	answer(w, http.StatusOK, transaction)
}

func (s *Server) deleteTransaction(w http.ResponseWriter, r *http.Request) {
	s.change.Lock()
	defer s.change.Unlock()
	var err error
	s.withFile(func() { err = s.configuration.DeleteTransaction(r.PathValue("id")) })
	if err != nil {
		refuseTransaction(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) commitTransaction(w http.ResponseWriter, r *http.Request) {
	force, ok := flag(w, r, "force_reload")
	if !ok {
		return
	}
	s.change.Lock()
	defer s.change.Unlock()
	id := r.PathValue("id")
	transaction, err := s.transaction(id)
	if err != nil {
		refuseTransaction(w, err)
		return
	}
	if transaction.Status != models.TransactionStatusInProgress {
		refuse(w, http.StatusNotAcceptable, fmt.Sprintf("transaction %s is %s and cannot be committed", id, transaction.Status))
		return
	}
	if transaction, err = s.commit(id); err != nil {
		refuseTransaction(w, err)
		return
	}
	s.reload(w, force, http.StatusOK, transaction)
}

// commit validates and writes the configuration, and marks the transactions
// that began before it as outdated.
func (s *Server) commit(id string) (*models.Transaction, error) {
	s.file.Lock()
	defer s.file.Unlock()
	transaction, err := s.configuration.CommitTransaction(id)
	if err != nil {
		return nil, err
	}
	open, err := s.configuration.GetTransactions(models.TransactionStatusInProgress)
	if err != nil {
		return nil, err
	}
	for _, other := range *open {
		if other.Version <= transaction.Version {
			// One that cannot be marked fails at its own commit by its version.
			_ = s.configuration.MarkTransactionOutdated(other.ID)
		}
	}
	return transaction, nil
}

// refuseTransaction answers 404 for an unknown transaction, which other calls
// that name one answer with 400.
func refuseTransaction(w http.ResponseWriter, err error) {
	if strings.HasSuffix(err.Error(), "does not exist") {
		refuse(w, http.StatusNotFound, err.Error())
		return
	}
	refuseConfiguration(w, err)
}
