ALTER TABLE messages
    DROP CONSTRAINT messages_organization_id_external_id_key,
    ADD CONSTRAINT messages_organization_id_external_id_key UNIQUE (organization_id, external_id);
ALTER TABLE threads
    DROP CONSTRAINT threads_organization_id_external_id_key,
    ADD CONSTRAINT threads_organization_id_external_id_key UNIQUE (organization_id, external_id);
DROP INDEX watermarks_places;
DROP INDEX messages_actions;
DROP INDEX messages_private;
DROP INDEX messages_sender_in_thread;
DROP STATISTICS threads_open;
DROP INDEX threads_anywhere_by_creation;
DROP INDEX threads_anywhere_by_activity;
DROP INDEX threads_by_creation;
CREATE INDEX threads_by_creation ON threads (organization_id, created_at, id);
DROP INDEX threads_by_staff_activity;
CREATE INDEX threads_by_staff_activity ON threads (organization_id, staff_sort_at, id);
DROP INDEX threads_by_activity;
CREATE INDEX threads_by_activity ON threads (organization_id, sort_at, id);
