-- Deliveries to backends: the outgoing messages of an API inbox, and for webhooks every event.
-- Each is a row, made in the transaction of what it tells; those of one target and thread go out
-- one after the other.

CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organizations ON DELETE CASCADE,
    external_id text NOT NULL CHECK (char_length(external_id) BETWEEN 1 AND 320),
    url text NOT NULL,
    secret text NOT NULL,
    events text[] NOT NULL DEFAULT '{}',
    enabled boolean NOT NULL DEFAULT true,
    position_xmax bigint NOT NULL,
    position_xip bigint[] NOT NULL DEFAULT '{}',
    missed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (organization_id, id),
    UNIQUE (organization_id, external_id)
);
COMMENT ON TABLE webhooks IS 'Where backends want to be told of what happens in an organization.';
COMMENT ON COLUMN webhooks.secret IS 'What signs its deliveries.';
COMMENT ON COLUMN webhooks.events IS 'The kinds of events that it wants. Empty: all.';
COMMENT ON COLUMN webhooks.position_xmax IS 'Its place in the log: what older transactions did has become deliveries, position_xip aside.';
COMMENT ON COLUMN webhooks.position_xip IS 'Older transactions that were still running then.';
COMMENT ON COLUMN webhooks.missed_at IS 'When events were last found to be gone from the log before they became deliveries. Null: never.';

CREATE TABLE webhook_terms (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    organization_id uuid NOT NULL,
    webhook_id uuid NOT NULL,
    events text[] NOT NULL,
    enabled boolean NOT NULL,
    until_xmax bigint NOT NULL,
    until_xip bigint[] NOT NULL,
    FOREIGN KEY (organization_id, webhook_id) REFERENCES webhooks (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_terms_of ON webhook_terms (webhook_id, id);
CREATE INDEX webhook_terms_tenant ON webhook_terms (organization_id, webhook_id);
COMMENT ON TABLE webhook_terms IS 'What webhooks wanted before they were changed, for as long as they have not been told of everything before that.';
COMMENT ON COLUMN webhook_terms.id IS 'Of two, the later one is larger.';
COMMENT ON COLUMN webhook_terms.enabled IS 'Whether it was to be told at all.';
COMMENT ON COLUMN webhook_terms.until_xmax IS 'Up to when: as position_xmax and position_xip of a webhook.';

CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    inbox_id uuid,
    webhook_id uuid,
    target_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(inbox_id, webhook_id)) STORED,
    thread_id uuid NOT NULL,
    event text NOT NULL CHECK (event IN ('MESSAGE_CREATED', 'MESSAGE_UPDATED', 'MESSAGE_APPENDED', 'MESSAGE_REMOVED', 'THREAD_CREATED', 'THREAD_UPDATED', 'THREAD_DELETED', 'PARTICIPANT_ADDED', 'PARTICIPANT_REMOVED', 'THREAD_SEEN', 'THREAD_DELIVERED')),
    seq bigint,
    message_id uuid,
    user_id uuid,
    occurred_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'DELIVERED', 'FAILED')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    last_attempt_at timestamptz,
    response_status integer,
    error text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    place bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    CHECK ((inbox_id IS NULL) <> (webhook_id IS NULL)),
    CHECK ((status = 'PENDING') = (finished_at IS NULL)),
    FOREIGN KEY (organization_id, inbox_id) REFERENCES inboxes (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, webhook_id) REFERENCES webhooks (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX deliveries_pending ON deliveries (target_id, thread_id, place) WHERE status = 'PENDING';
CREATE INDEX deliveries_of_inbox ON deliveries (inbox_id, place) WHERE inbox_id IS NOT NULL;
CREATE INDEX deliveries_of_webhook ON deliveries (webhook_id, place) WHERE webhook_id IS NOT NULL;
CREATE INDEX deliveries_of_message ON deliveries (message_id, place) WHERE inbox_id IS NOT NULL;
CREATE INDEX deliveries_not_delivered ON deliveries (target_id, status, place) WHERE status <> 'DELIVERED';
CREATE INDEX deliveries_finished ON deliveries (finished_at) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX deliveries_once ON deliveries (webhook_id, thread_id, seq) WHERE webhook_id IS NOT NULL AND seq IS NOT NULL;
COMMENT ON TABLE deliveries IS 'What is to be told to an inbox''s or a webhook''s URL, or was. It says what happened, not in which words: those are read when it is told. It outlives thread, message and user.';
COMMENT ON COLUMN deliveries.organization_id IS 'The tenant of the inbox or webhook, wherever the thread is now.';
COMMENT ON COLUMN deliveries.target_id IS 'The inbox or the webhook.';
COMMENT ON COLUMN deliveries.seq IS 'Number of the event in the thread''s log. Null: a moved watermark, which the log does not have.';
COMMENT ON COLUMN deliveries.message_id IS 'The message that it is about; of a moved watermark the newest one it has reached.';
COMMENT ON COLUMN deliveries.user_id IS 'Whom it is about; of an inbox''s message who sent it. Null: nobody, or a backend.';
COMMENT ON COLUMN deliveries.next_at IS 'When it is to be tried next, once those before it in its thread are done.';
COMMENT ON COLUMN deliveries.response_status IS 'HTTP status of the last answer. Null: there was none.';
COMMENT ON COLUMN deliveries.place IS 'Its place: within a target and a thread they go out in this order.';

CREATE TABLE delivery_queues (
    target_id uuid NOT NULL GENERATED ALWAYS AS (coalesce(inbox_id, webhook_id)) STORED,
    thread_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    inbox_id uuid,
    webhook_id uuid,
    next_at timestamptz NOT NULL DEFAULT now(),
    lease uuid,
    hastened boolean NOT NULL DEFAULT false,
    PRIMARY KEY (target_id, thread_id),
    CHECK ((inbox_id IS NULL) <> (webhook_id IS NULL)),
    FOREIGN KEY (organization_id, inbox_id) REFERENCES inboxes (organization_id, id) ON DELETE CASCADE,
    FOREIGN KEY (organization_id, webhook_id) REFERENCES webhooks (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX delivery_queues_due ON delivery_queues (target_id, next_at);
CREATE INDEX delivery_queues_inbox ON delivery_queues (inbox_id) WHERE inbox_id IS NOT NULL;
CREATE INDEX delivery_queues_webhook ON delivery_queues (webhook_id) WHERE webhook_id IS NOT NULL;
COMMENT ON TABLE delivery_queues IS 'One row for each target and thread with pending deliveries: who claims it delivers the first of them.';
COMMENT ON COLUMN delivery_queues.next_at IS 'When it may be claimed: at the time of its first delivery; while it is claimed, when the claim ends.';
COMMENT ON COLUMN delivery_queues.lease IS 'By which claim it is held; that one alone may finish what it began. Null: by none.';
COMMENT ON COLUMN delivery_queues.hastened IS 'Set while it is claimed: whatever comes of that attempt, the next one is due at once.';
