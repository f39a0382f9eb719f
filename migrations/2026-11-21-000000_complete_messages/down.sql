-- A program of before knows neither kind.
UPDATE events SET kind = 'MESSAGE_UPDATED' WHERE kind = 'MESSAGE_APPENDED';
UPDATE events SET kind = 'THREAD_UPDATED' WHERE kind = 'THREAD_DELETED';
ALTER TABLE events DROP COLUMN appended_text, DROP COLUMN appended_at;
DROP TABLE hidden_threads;
DELETE FROM watermarks WHERE kind <> 'SEEN';
ALTER TABLE watermarks DROP CONSTRAINT watermarks_pkey, DROP COLUMN kind, ADD PRIMARY KEY (thread_id, user_id);
ALTER TABLE watermarks RENAME COLUMN place_at TO seen_at;
ALTER TABLE watermarks RENAME COLUMN place_seq TO seen_seq;
COMMENT ON TABLE watermarks IS 'Up to which message somebody has seen a thread; seenBy, unread counts and receipts derive from it.';
COMMENT ON COLUMN watermarks.seen_at IS 'sent_at of the newest message seen; with seen_seq its place in the thread.';
DROP TABLE revisions;
DROP INDEX messages_metadata;
ALTER TABLE messages
    DROP COLUMN content,
    DROP COLUMN content_attributes,
    DROP COLUMN submitted_values,
    DROP COLUMN direction,
    DROP COLUMN delivery_error;
DROP INDEX threads_metadata;
ALTER TABLE threads DROP COLUMN inbox_id;
DROP TABLE inboxes;
