-- What an environment keeps from one deployment to the next: the deployment that began it, and the init jobs that it has behind it (JSON).
ALTER TABLE deployments ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deployments ADD COLUMN ran TEXT NOT NULL DEFAULT 'null';
UPDATE deployments SET state = id;

-- Whether the next deployment begins anew.
ALTER TABLE environments ADD COLUMN reset INTEGER NOT NULL DEFAULT 0;
