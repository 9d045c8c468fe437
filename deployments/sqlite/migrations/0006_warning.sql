-- The expiry that people were warned of last; see warn. 0 for none.
ALTER TABLE environments ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;
