-- What a fork's pull request waits for, what somebody approved of it, and the head that was heard of last.
ALTER TABLE environments ADD COLUMN skipped TEXT NOT NULL DEFAULT '';
ALTER TABLE environments ADD COLUMN approved TEXT NOT NULL DEFAULT '';
ALTER TABLE environments ADD COLUMN held TEXT NOT NULL DEFAULT '';
ALTER TABLE environments ADD COLUMN seen TEXT NOT NULL DEFAULT '';
ALTER TABLE environments ADD COLUMN seen_at INTEGER NOT NULL DEFAULT 0;

-- Whether the present generation builds without a cache, and whether the environment does not expire.
ALTER TABLE environments ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE environments ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;

-- What the reporter has to know of what people are shown, in its own encoding (JSON). It had the comment's number alone.
ALTER TABLE environments ADD COLUMN notes TEXT NOT NULL DEFAULT '';
UPDATE environments SET notes = json_object('version', 1, 'comment', comment_id) WHERE comment_id <> 0;
ALTER TABLE environments DROP COLUMN comment_id;
