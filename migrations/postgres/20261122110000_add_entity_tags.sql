ALTER TABLE entities ADD COLUMN tags text NOT NULL DEFAULT '{}'; -- a JSON object of tagged values
