DROP TABLE event_retention;

ALTER TABLE api_keys DROP COLUMN revoked_xid;

CREATE INDEX memberships_decided ON memberships (decided_at);
ALTER TABLE memberships DROP COLUMN xid;

DROP INDEX watermarks_public_xid;
DROP INDEX watermarks_in_organization;
DROP INDEX watermarks_xid;

DROP TABLE deleted_threads;

DROP INDEX events_moved_away;
DROP INDEX events_in_organization;
CREATE INDEX events_organization ON events (organization_id);
ALTER TABLE events
    DROP COLUMN former_access,
    DROP COLUMN former_organization_id;
