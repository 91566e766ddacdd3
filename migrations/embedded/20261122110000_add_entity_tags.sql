ALTER TABLE entities ADD COLUMN tags TEXT NOT NULL DEFAULT '{}'; -- a JSON object of tagged values
