// Package sqlstore is what the drivers of the store have in common that is SQL: all reading, and the writing of what is
// not the log. A driver brings the schema, the transactions, the writing of the log (see package batch), and a Dialect.
//
// SQL is written in the one form that both SQLite and Postgres read, but for what the Dialect says. Values are always
// parameters, never text.
//
// It imports store and grant.
package sqlstore
