-- The tenant (organization_id) is part of every key that connects two rows, so that no row can
-- cross organizations, whatever a program does. A removed membership stays as a row: what its
-- user wrote still belongs to somebody.

CREATE TABLE organizations (
    id uuid PRIMARY KEY,
    external_id text UNIQUE CHECK (char_length(external_id) BETWEEN 1 AND 320),
    name text NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    last_thread_number integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE organizations IS 'Tenants.';
COMMENT ON COLUMN organizations.external_id IS 'The id that a backend gave it; unique on this server.';
COMMENT ON COLUMN organizations.last_thread_number IS 'Display number of the newest thread; taken under this row''s lock, so numbers have no gaps.';

CREATE TABLE users (
    id uuid PRIMARY KEY,
    external_id text UNIQUE CHECK (char_length(external_id) BETWEEN 1 AND 320),
    kind text NOT NULL DEFAULT 'PERSON' CHECK (kind IN ('PERSON', 'BOT', 'SYSTEM')),
    name text NOT NULL,
    email text,
    avatar_url text,
    metadata jsonb NOT NULL DEFAULT '{}',
    profile_set_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE users IS 'People and bots; one row per server, whatever organizations they are in.';
COMMENT ON COLUMN users.profile_set_at IS 'When name, email or avatar were last set; claims of a token issued earlier do not change them.';

CREATE TABLE memberships (
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('ADMIN', 'AGENT', 'MEMBER', 'CONTACT')),
    decided_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, user_id)
);
CREATE INDEX memberships_decided ON memberships (decided_at);
CREATE INDEX memberships_user ON memberships (user_id, organization_id);
COMMENT ON TABLE memberships IS 'Who belongs to which organization, and as what.';
COMMENT ON COLUMN memberships.decided_at IS 'When role or removal was last decided; a token issued earlier does not change them.';
COMMENT ON COLUMN memberships.removed_at IS 'Set: a former member, who sees nothing.';

CREATE TABLE api_keys (
    id text PRIMARY KEY,
    organization_id uuid REFERENCES organizations ON DELETE CASCADE,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX api_keys_organization ON api_keys (organization_id);
COMMENT ON TABLE api_keys IS 'Credentials of backends.';
COMMENT ON COLUMN api_keys.organization_id IS 'The organization it is bound to; null: the whole server.';
COMMENT ON COLUMN api_keys.secret_hash IS 'SHA-256 of the secret, which is 256 random bits and is not stored.';

CREATE TABLE threads (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    number integer NOT NULL,
    external_id text CHECK (char_length(external_id) BETWEEN 1 AND 320),
    input_hash bytea,
    subject text NOT NULL,
    url text,
    metadata jsonb NOT NULL DEFAULT '{}',
    extra_classnames text,
    access text NOT NULL CHECK (access IN ('PARTICIPANTS', 'AGENTS', 'ORGANIZATION')),
    creator_id uuid,
    department text,
    source_page text,
    language text,
    user_agent text,
    seq bigint NOT NULL DEFAULT 0,
    public_seq bigint NOT NULL DEFAULT 0,
    clock_at timestamptz NOT NULL,
    user_message_count integer NOT NULL DEFAULT 0,
    action_message_count integer NOT NULL DEFAULT 0,
    deleted_message_count integer NOT NULL DEFAULT 0,
    private_message_count integer NOT NULL DEFAULT 0,
    private_deleted_count integer NOT NULL DEFAULT 0,
    last_message_at timestamptz,
    staff_message_at timestamptz,
    sort_at timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(last_message_at, created_at)) STORED,
    staff_sort_at timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(staff_message_at, created_at)) STORED,
    resolved_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, number),
    UNIQUE (organization_id, external_id),
    FOREIGN KEY (organization_id, creator_id) REFERENCES memberships (organization_id, user_id)
);
CREATE INDEX threads_by_activity ON threads (organization_id, sort_at, id);
CREATE INDEX threads_by_staff_activity ON threads (organization_id, staff_sort_at, id);
CREATE INDEX threads_by_creation ON threads (organization_id, created_at, id);
CREATE INDEX threads_creator ON threads (creator_id);
COMMENT ON TABLE threads IS 'Conversations.';
COMMENT ON COLUMN threads.input_hash IS 'SHA-256 of the values it was created with: the same externalId with the same values is the same thread.';
COMMENT ON COLUMN threads.seq IS 'Number of its newest event; taken under this row''s lock, so events have no gaps and stand in commit order.';
COMMENT ON COLUMN threads.public_seq IS 'Number of its newest event that is not for staff only: the position that others are given.';
COMMENT ON COLUMN threads.clock_at IS 'The newest sent_at that the server handed out; it never runs backwards.';
COMMENT ON COLUMN threads.user_message_count IS 'Public messages by people that are sent and not deleted. Private notes are counted apart, since who may not see them must not count them.';
COMMENT ON COLUMN threads.private_message_count IS 'Private notes that are sent and not deleted.';
COMMENT ON COLUMN threads.last_message_at IS 'sent_at of the newest public message.';
COMMENT ON COLUMN threads.staff_message_at IS 'sent_at of the newest message, private notes included: what agents see as lastMessageAt.';

CREATE TABLE participants (
    thread_id uuid NOT NULL,
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    subscribed boolean NOT NULL DEFAULT true,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (thread_id, user_id),
    FOREIGN KEY (organization_id, thread_id) REFERENCES threads (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE
);
CREATE INDEX participants_user ON participants (user_id, thread_id);
CREATE INDEX participants_in_order ON participants (thread_id, joined_at, user_id);
COMMENT ON TABLE participants IS 'Who takes part in a thread.';
COMMENT ON COLUMN participants.subscribed IS 'Whether the person is to be notified of what is new.';

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    thread_id uuid NOT NULL,
    seq bigint,
    place_at timestamptz NOT NULL,
    place_seq bigint NOT NULL,
    external_id text CHECK (char_length(external_id) BETWEEN 1 AND 320),
    input_hash bytea,
    sender_id uuid,
    type text NOT NULL DEFAULT 'USER' CHECK (type IN ('USER', 'ACTION')),
    content_type text NOT NULL DEFAULT 'TEXT' CHECK (content_type IN ('TEXT', 'IMAGE', 'INPUT_TEXT', 'INPUT_TEXTAREA', 'INPUT_EMAIL', 'INPUT_SELECT', 'CARDS', 'FORM', 'ARTICLE')),
    body text NOT NULL,
    body_html text,
    plaintext text NOT NULL,
    private boolean NOT NULL DEFAULT false,
    status text NOT NULL CHECK (status IN ('DRAFT', 'SENDING', 'SENT', 'DELIVERED', 'RECEIVED', 'RETURN_RECEIPT', 'SEEN', 'FAILED')),
    url text,
    icon_url text,
    extra_classnames text,
    metadata jsonb NOT NULL DEFAULT '{}',
    reply_to_id uuid,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    UNIQUE (organization_id, id),
    UNIQUE (thread_id, id),
    UNIQUE (thread_id, seq),
    UNIQUE (organization_id, external_id),
    CHECK ((status = 'DRAFT') = (sent_at IS NULL)),
    CHECK ((sent_at IS NULL) = (seq IS NULL)),
    FOREIGN KEY (organization_id, thread_id) REFERENCES threads (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (organization_id, sender_id) REFERENCES memberships (organization_id, user_id),
    FOREIGN KEY (thread_id, reply_to_id) REFERENCES messages (thread_id, id) ON DELETE SET NULL (reply_to_id)
);
CREATE INDEX messages_in_thread ON messages (thread_id, place_at, place_seq);
CREATE INDEX messages_in_organization ON messages (organization_id, sent_at, id);
CREATE INDEX messages_sender ON messages (sender_id, sent_at, id);
CREATE INDEX messages_drafts ON messages (sender_id, created_at, id) WHERE status = 'DRAFT';
CREATE INDEX messages_reply_to ON messages (reply_to_id) WHERE reply_to_id IS NOT NULL;
COMMENT ON TABLE messages IS 'Messages, drafts, private notes and tombstones.';
COMMENT ON COLUMN messages.seq IS 'Number of the event that sent it. Null: a draft.';
COMMENT ON COLUMN messages.place_at IS 'With place_seq its place in the thread: sent_at and seq; a draft stands behind every sent message.';
COMMENT ON COLUMN messages.input_hash IS 'SHA-256 of the values it was created with: the same externalId with the same values is the same message.';
COMMENT ON COLUMN messages.private IS 'A note for agents, admins and API keys only.';
COMMENT ON COLUMN messages.deleted_at IS 'Set: a tombstone; the words are kept for a restore and shown to nobody.';

CREATE TABLE reactions (
    organization_id uuid NOT NULL,
    message_id uuid NOT NULL,
    user_id uuid NOT NULL,
    emoji text NOT NULL CHECK (char_length(emoji) BETWEEN 1 AND 127),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (message_id, user_id, emoji),
    FOREIGN KEY (organization_id, message_id) REFERENCES messages (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id)
);
CREATE INDEX reactions_user ON reactions (user_id);
COMMENT ON TABLE reactions IS 'One row per message, person and emoji.';

CREATE TABLE watermarks (
    thread_id uuid NOT NULL,
    user_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    seen_at timestamptz NOT NULL,
    seen_seq bigint NOT NULL,
    moved_at timestamptz NOT NULL,
    xid bigint NOT NULL,
    public_moved_at timestamptz,
    public_xid bigint,
    PRIMARY KEY (thread_id, user_id),
    FOREIGN KEY (organization_id, thread_id) REFERENCES threads (organization_id, id) ON UPDATE CASCADE ON DELETE CASCADE,
    FOREIGN KEY (organization_id, user_id) REFERENCES memberships (organization_id, user_id) ON DELETE CASCADE
);
CREATE INDEX watermarks_moves ON watermarks (thread_id, xid);
CREATE INDEX watermarks_user ON watermarks (user_id, thread_id);
COMMENT ON TABLE watermarks IS 'Up to which message somebody has seen a thread; seenBy, unread counts and receipts derive from it.';
COMMENT ON COLUMN watermarks.seen_at IS 'sent_at of the newest message seen; with seen_seq its place in the thread.';
COMMENT ON COLUMN watermarks.xid IS 'The transaction that moved it last (pg_current_xact_id), so that a resumed stream finds the moves it missed.';
COMMENT ON COLUMN watermarks.public_moved_at IS 'When it last moved over a public message: what those are told who may not see private notes. Null: it never did.';
COMMENT ON COLUMN watermarks.public_xid IS 'The transaction of that move.';

CREATE TABLE events (
    thread_id uuid NOT NULL,
    seq bigint NOT NULL,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    kind text NOT NULL,
    staff_only boolean NOT NULL DEFAULT false,
    actor_id uuid,
    message_id uuid,
    user_id uuid,
    occurred_at timestamptz NOT NULL,
    xid bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    PRIMARY KEY (thread_id, seq)
);
CREATE INDEX events_xid ON events (xid);
CREATE INDEX events_organization ON events (organization_id);
COMMENT ON TABLE events IS 'The log: every durable change to a thread, appended last in the transaction that made it. It outlives the rows that it names.';
COMMENT ON COLUMN events.staff_only IS 'Only agents, admins and API keys receive it.';
COMMENT ON COLUMN events.xid IS 'The transaction that wrote it, so that a reader of the whole log knows what may still be in flight.';
