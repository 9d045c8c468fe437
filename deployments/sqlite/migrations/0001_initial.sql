-- Times are nanoseconds since 1970 UTC, 0 for none. Columns that hold JSON say so.

CREATE TABLE store (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    instance TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0 -- the last one drawn; one counter for the routes of all hosts
) STRICT;

-- A repository's name in labels, for good.
CREATE TABLE slugs (
    label TEXT PRIMARY KEY,
    owner TEXT NOT NULL UNIQUE -- the repository
) STRICT;

-- A host's label, reserved for its owner for good.
CREATE TABLE hosts (
    label          TEXT PRIMARY KEY,
    owner          TEXT NOT NULL UNIQUE,
    repo           TEXT NOT NULL DEFAULT '', -- of a branch's host only
    branch         TEXT NOT NULL DEFAULT '',
    environment_id INTEGER REFERENCES environments (id), -- NULL for a branch's host without an environment of its own
    service        TEXT NOT NULL DEFAULT ''              -- that answers there, by the last Reserve; '' for none
) STRICT;
CREATE INDEX hosts_of_environment ON hosts (environment_id);

CREATE TABLE environments (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT NOT NULL UNIQUE REFERENCES hosts (label),
    origin       TEXT NOT NULL UNIQUE, -- Origin.Key
    repo         TEXT NOT NULL,
    pull_request INTEGER NOT NULL,
    branch       TEXT NOT NULL,
    given_name   TEXT NOT NULL,
    sources      TEXT NOT NULL DEFAULT 'null', -- JSON
    title        TEXT NOT NULL DEFAULT '',
    intent       TEXT NOT NULL CHECK (intent IN ('up', 'gone')),
    decided_by   TEXT NOT NULL,
    cause        TEXT NOT NULL,
    force        INTEGER NOT NULL DEFAULT 0,
    generation   INTEGER NOT NULL DEFAULT 0,
    observed     INTEGER NOT NULL DEFAULT 0 CHECK (observed <= generation),
    raised_at    INTEGER NOT NULL DEFAULT 0, -- since when the generation is above the one observed
    live         INTEGER REFERENCES deployments (id),
    failed       INTEGER NOT NULL DEFAULT 0,
    expires_at   INTEGER NOT NULL DEFAULT 0,
    failures     INTEGER NOT NULL DEFAULT 0,
    not_before   INTEGER NOT NULL DEFAULT 0,
    waiting      TEXT NOT NULL DEFAULT '',
    comment_id   INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    change       INTEGER NOT NULL DEFAULT 0, -- grows with whatever people can see
    reported     INTEGER NOT NULL DEFAULT 0, -- the last change that people were shown
    report_failures   INTEGER NOT NULL DEFAULT 0,
    report_not_before INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX environments_unsettled ON environments (raised_at) WHERE generation > observed;
CREATE INDEX environments_unreported ON environments (report_not_before) WHERE change > reported;
CREATE INDEX environments_of_repo ON environments (repo);

CREATE TABLE deployments (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    environment_id INTEGER NOT NULL REFERENCES environments (id),
    generation     INTEGER NOT NULL,
    source         TEXT NOT NULL, -- JSON
    phase          TEXT NOT NULL CHECK (phase IN
        ('queued', 'fetching', 'building', 'starting', 'ready', 'failed', 'superseded', 'cancelled', 'removing', 'gone')),
    reason         TEXT NOT NULL DEFAULT '',
    fault          TEXT NOT NULL DEFAULT 'null', -- JSON
    subnet         TEXT NOT NULL,
    images         TEXT NOT NULL DEFAULT 'null', -- JSON
    plan           BLOB,                         -- JSON
    services       TEXT NOT NULL DEFAULT 'null', -- JSON
    timings        TEXT NOT NULL DEFAULT 'null', -- JSON
    created_at     INTEGER NOT NULL,
    ended_at       INTEGER NOT NULL DEFAULT 0,
    live_at        INTEGER NOT NULL DEFAULT 0,
    pushed_at      INTEGER NOT NULL DEFAULT 0,
    remove_at      INTEGER NOT NULL DEFAULT 0,
    removed_at     INTEGER NOT NULL DEFAULT 0 -- when nothing was left outside
) STRICT;
CREATE INDEX deployments_of_environment ON deployments (environment_id);
CREATE UNIQUE INDEX deployments_one_running ON deployments (environment_id) WHERE phase IN ('queued', 'fetching', 'building', 'starting');
CREATE UNIQUE INDEX deployments_one_live ON deployments (environment_id) WHERE phase = 'ready';
CREATE UNIQUE INDEX deployments_own_subnet ON deployments (subnet) WHERE removed_at = 0;

-- The record of a host as the proxy is to have it. Removed ones stay for their revision.
CREATE TABLE routes (
    label          TEXT PRIMARY KEY REFERENCES hosts (label),
    environment_id INTEGER NOT NULL REFERENCES environments (id), -- whose backends these are
    identifier     TEXT NOT NULL,
    backends       TEXT NOT NULL, -- JSON
    revision       INTEGER NOT NULL UNIQUE,
    removed        INTEGER NOT NULL
) STRICT;
CREATE INDEX routes_of_environment ON routes (environment_id);

CREATE TABLE events (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    origin TEXT NOT NULL,
    at     INTEGER NOT NULL,
    text   TEXT NOT NULL
) STRICT;
CREATE INDEX events_of_origin ON events (origin, id);

CREATE TABLE deliveries (
    guid  TEXT PRIMARY KEY,
    event TEXT NOT NULL,
    at    INTEGER NOT NULL
) STRICT;

CREATE TABLE requests (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    origin_key     TEXT NOT NULL,
    origin         TEXT NOT NULL, -- JSON
    payload        BLOB,          -- JSON
    state          TEXT NOT NULL CHECK (state IN ('pending', 'taken', 'succeeded', 'failed', 'refused', 'ignored')),
    answered       TEXT NOT NULL DEFAULT '',
    reply          TEXT NOT NULL DEFAULT '',
    failures       INTEGER NOT NULL DEFAULT 0,
    not_before     INTEGER NOT NULL DEFAULT 0,
    environment_id INTEGER REFERENCES environments (id), -- of a taken one: what it waits for
    generation     INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX requests_open ON requests (origin_key, id) WHERE state = 'pending';
CREATE INDEX requests_unanswered ON requests (id) WHERE state <> answered AND state NOT IN ('pending', 'ignored');
CREATE INDEX requests_taken ON requests (environment_id) WHERE state = 'taken';
