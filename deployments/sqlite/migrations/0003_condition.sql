-- Where the public services of a deployment answer, and how it fares while it is live. Both are JSON.
ALTER TABLE deployments ADD COLUMN backends TEXT NOT NULL DEFAULT 'null';
ALTER TABLE deployments ADD COLUMN condition TEXT NOT NULL DEFAULT '{}';
