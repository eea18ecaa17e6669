-- A review that nobody has done in time is said aloud, once.
INSERT INTO haproxyaccess.transitions (from_state, verb, to_state) VALUES
  ('active',  'review_overdue', 'active'),
  ('expired', 'review_overdue', 'expired'),
  ('revoked', 'review_overdue', 'revoked');

-- When the review that is to be done will be overdue; 0 where none is waited for, or that was said; -1 in rows of a program
-- that does not write it, whose documents are looked at. Neither this nor the indexes rewrite the table; they read it once.
ALTER TABLE haproxyaccess.grants ADD COLUMN review_due bigint NOT NULL DEFAULT -1;
CREATE INDEX grants_overdue ON haproxyaccess.grants (review_due) WHERE review <> '{}' AND review_due <> 0;

-- What is open is a small part of what there ever was. It says so in other words than grants_due, which pages of what is open
-- would be sorted out of otherwise.
CREATE INDEX grants_open ON haproxyaccess.grants (requested_at DESC, id DESC)
  WHERE state NOT IN ('denied', 'cancelled', 'lapsed', 'expired', 'revoked');
