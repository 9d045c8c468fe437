-- Columns that say so are encrypted with the data folder's key: see seal.go.

ALTER TABLE store ADD COLUMN key_check BLOB; -- encrypted: tells whether the key is the one that everything is encrypted with

ALTER TABLE environments ADD COLUMN ttl INTEGER NOT NULL DEFAULT 0; -- nanoseconds; 0: the server's

-- From here on deployments.plan is encrypted too. What is not begins with a brace; it comes from before there were Variables.
ALTER TABLE deployments ADD COLUMN secrets BLOB; -- encrypted: JSON

CREATE TABLE variables (
    repo   TEXT NOT NULL COLLATE NOCASE,
    name   TEXT NOT NULL,
    value  BLOB NOT NULL, -- encrypted
    set_at INTEGER NOT NULL,
    PRIMARY KEY (repo, name)
) STRICT;

-- Random values that an environment has drawn.
CREATE TABLE generated (
    environment_id INTEGER NOT NULL REFERENCES environments (id),
    name           TEXT NOT NULL,
    value          BLOB NOT NULL, -- encrypted
    PRIMARY KEY (environment_id, name)
) STRICT;
