-- Every list is read in its order from an index, whoever asks: one for each access, since that decides
-- who sees a thread, and for backends of the whole server one without a tenant.

DROP INDEX threads_by_activity;
CREATE INDEX threads_by_activity ON threads (organization_id, access, sort_at, id);
DROP INDEX threads_by_staff_activity;
CREATE INDEX threads_by_staff_activity ON threads (organization_id, access, staff_sort_at, id);
DROP INDEX threads_by_creation;
CREATE INDEX threads_by_creation ON threads (organization_id, access, created_at, id);
CREATE INDEX threads_anywhere_by_activity ON threads (staff_sort_at, id);
CREATE INDEX threads_anywhere_by_creation ON threads (created_at, id);

-- One organization works in the open, another one does not: how common an access is depends on it.
CREATE STATISTICS threads_open (mcv) ON organization_id, access FROM threads;

-- How many messages of a thread are somebody's own, and whether somebody wrote in a thread.
CREATE INDEX messages_sender_in_thread ON messages (sender_id, thread_id);

-- Notes and actions are few among many.
CREATE INDEX messages_private ON messages (organization_id, sent_at, id) WHERE private;
CREATE INDEX messages_actions ON messages (organization_id, sent_at, id) WHERE type = 'ACTION';

-- Who has come furthest in a thread: the readers of a message are at the front.
CREATE INDEX watermarks_places ON watermarks (thread_id, kind, place_at, place_seq, user_id);

-- A backend of the whole server looks things up by externalId without naming the tenant.
ALTER TABLE threads
    DROP CONSTRAINT threads_organization_id_external_id_key,
    ADD CONSTRAINT threads_organization_id_external_id_key UNIQUE (external_id, organization_id);
ALTER TABLE messages
    DROP CONSTRAINT messages_organization_id_external_id_key,
    ADD CONSTRAINT messages_organization_id_external_id_key UNIQUE (external_id, organization_id);
