-- What nodes report, and the environments that come and go.

-- The last status of each node, in the words of who writes to it.
CREATE TABLE haproxyaccess.nodes (
  node   text COLLATE "C" PRIMARY KEY,
  writer text COLLATE "C" NOT NULL,
  at     bigint NOT NULL,
  doc    bytea NOT NULL
);

-- What became of each grant on each node. 0 is no time.
CREATE TABLE haproxyaccess.reports (
  grant_id       text COLLATE "C" NOT NULL,
  node           text COLLATE "C" NOT NULL,
  revision       bigint NOT NULL,
  written_at     bigint NOT NULL,
  verified_at    bigint NOT NULL,
  removed_at     bigint NOT NULL,
  first_admitted bigint NOT NULL,
  last_admitted  bigint NOT NULL,
  admitted       bigint NOT NULL,
  first_refused  bigint NOT NULL,
  refused        bigint NOT NULL,
  PRIMARY KEY (grant_id, node)
);

-- Environments that were registered. One that was removed stays, so that its grants are ended by whoever finds one.
CREATE TABLE haproxyaccess.environments (
  name       text COLLATE "C" PRIMARY KEY,
  template   text COLLATE "C" NOT NULL,
  by_subject text COLLATE "C" NOT NULL,
  at         bigint NOT NULL,
  removed_at bigint NOT NULL,
  removed_by text COLLATE "C" NOT NULL
);
