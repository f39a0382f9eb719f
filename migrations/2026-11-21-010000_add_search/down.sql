DROP INDEX messages_by_time;
ALTER TABLE messages DROP COLUMN search, DROP COLUMN search_language;
ALTER TABLE threads DROP COLUMN search_language;
DROP FUNCTION search_vector;
