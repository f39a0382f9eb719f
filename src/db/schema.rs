// @generated automatically by Diesel CLI.

pub mod sql_types {
    #[derive(diesel::query_builder::QueryId, Clone, diesel::sql_types::SqlType)]
    #[diesel(postgres_type(name = "tsvector", schema = "pg_catalog"))]
    pub struct Tsvector;
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        organization_id -> Nullable<Uuid>,
        name -> Text,
        secret_hash -> Bytea,
        created_at -> Timestamptz,
        revoked_at -> Nullable<Timestamptz>,
        revoked_xid -> Nullable<Int8>,
    }
}

diesel::table! {
    attachments (id) {
        id -> Uuid,
        object_id -> Uuid,
        organization_id -> Uuid,
        uploader_id -> Nullable<Uuid>,
        message_id -> Nullable<Uuid>,
        place -> Nullable<Int4>,
        kind -> Text,
        status -> Text,
        name -> Text,
        mime_type -> Text,
        size -> Int8,
        width -> Nullable<Int4>,
        height -> Nullable<Int4>,
        text_content -> Nullable<Text>,
        location -> Nullable<Jsonb>,
        created_at -> Timestamptz,
        unattached_since -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    deleted_threads (thread_id) {
        thread_id -> Uuid,
        organization_id -> Uuid,
        access -> Text,
        participant_ids -> Array<Nullable<Uuid>>,
        hidden_by_ids -> Array<Nullable<Uuid>>,
    }
}

diesel::table! {
    deliveries (id) {
        id -> Uuid,
        organization_id -> Uuid,
        inbox_id -> Nullable<Uuid>,
        webhook_id -> Nullable<Uuid>,
        target_id -> Uuid,
        thread_id -> Uuid,
        event -> Text,
        seq -> Nullable<Int8>,
        message_id -> Nullable<Uuid>,
        user_id -> Nullable<Uuid>,
        occurred_at -> Timestamptz,
        status -> Text,
        attempts -> Int4,
        next_at -> Timestamptz,
        last_attempt_at -> Nullable<Timestamptz>,
        response_status -> Nullable<Int4>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
        place -> Int8,
    }
}

diesel::table! {
    delivery_queues (target_id, thread_id) {
        target_id -> Uuid,
        thread_id -> Uuid,
        organization_id -> Uuid,
        inbox_id -> Nullable<Uuid>,
        webhook_id -> Nullable<Uuid>,
        next_at -> Timestamptz,
        lease -> Nullable<Uuid>,
        hastened -> Bool,
    }
}

diesel::table! {
    event_retention (single) {
        single -> Bool,
        dropped_xid -> Int8,
    }
}

diesel::table! {
    events (thread_id, seq) {
        thread_id -> Uuid,
        seq -> Int8,
        organization_id -> Uuid,
        kind -> Text,
        staff_only -> Bool,
        actor_id -> Nullable<Uuid>,
        message_id -> Nullable<Uuid>,
        user_id -> Nullable<Uuid>,
        occurred_at -> Timestamptz,
        xid -> Int8,
        appended_text -> Nullable<Text>,
        appended_at -> Nullable<Int4>,
        former_organization_id -> Nullable<Uuid>,
        former_access -> Nullable<Text>,
    }
}

diesel::table! {
    hidden_threads (thread_id, user_id) {
        thread_id -> Uuid,
        user_id -> Uuid,
        organization_id -> Uuid,
        hidden_at -> Timestamptz,
    }
}

diesel::table! {
    inboxes (id) {
        id -> Uuid,
        organization_id -> Uuid,
        external_id -> Nullable<Text>,
        name -> Text,
        channel -> Text,
        webhook_url -> Nullable<Text>,
        webhook_secret -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    memberships (organization_id, user_id) {
        organization_id -> Uuid,
        user_id -> Uuid,
        role -> Text,
        decided_at -> Timestamptz,
        removed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        xid -> Int8,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::sql_types::Tsvector;

    messages (id) {
        id -> Uuid,
        organization_id -> Uuid,
        thread_id -> Uuid,
        seq -> Nullable<Int8>,
        place_at -> Timestamptz,
        place_seq -> Int8,
        external_id -> Nullable<Text>,
        input_hash -> Nullable<Bytea>,
        sender_id -> Nullable<Uuid>,
        #[sql_name = "type"]
        type_ -> Text,
        content_type -> Text,
        body -> Text,
        body_html -> Nullable<Text>,
        plaintext -> Text,
        private -> Bool,
        status -> Text,
        url -> Nullable<Text>,
        icon_url -> Nullable<Text>,
        extra_classnames -> Nullable<Text>,
        metadata -> Jsonb,
        reply_to_id -> Nullable<Uuid>,
        created_at -> Timestamptz,
        sent_at -> Nullable<Timestamptz>,
        updated_at -> Nullable<Timestamptz>,
        deleted_at -> Nullable<Timestamptz>,
        content -> Nullable<Jsonb>,
        content_attributes -> Jsonb,
        submitted_values -> Nullable<Jsonb>,
        direction -> Nullable<Text>,
        delivery_error -> Nullable<Text>,
        search_language -> Text,
        search -> Tsvector,
    }
}

diesel::table! {
    organizations (id) {
        id -> Uuid,
        external_id -> Nullable<Text>,
        name -> Text,
        metadata -> Jsonb,
        last_thread_number -> Int4,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    participants (thread_id, user_id) {
        thread_id -> Uuid,
        user_id -> Uuid,
        organization_id -> Uuid,
        subscribed -> Bool,
        joined_at -> Timestamptz,
    }
}

diesel::table! {
    reactions (message_id, user_id, emoji) {
        organization_id -> Uuid,
        message_id -> Uuid,
        user_id -> Uuid,
        emoji -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    revisions (message_id, number) {
        organization_id -> Uuid,
        message_id -> Uuid,
        number -> Int4,
        editor_id -> Nullable<Uuid>,
        replaced_at -> Timestamptz,
        body -> Text,
        body_html -> Nullable<Text>,
        content -> Nullable<Jsonb>,
        plaintext -> Text,
    }
}

diesel::table! {
    signing_key (single) {
        single -> Bool,
        secret -> Bytea,
    }
}

diesel::table! {
    threads (id) {
        id -> Uuid,
        organization_id -> Uuid,
        number -> Int4,
        external_id -> Nullable<Text>,
        input_hash -> Nullable<Bytea>,
        subject -> Text,
        url -> Nullable<Text>,
        metadata -> Jsonb,
        extra_classnames -> Nullable<Text>,
        access -> Text,
        creator_id -> Nullable<Uuid>,
        department -> Nullable<Text>,
        source_page -> Nullable<Text>,
        language -> Nullable<Text>,
        user_agent -> Nullable<Text>,
        seq -> Int8,
        public_seq -> Int8,
        clock_at -> Timestamptz,
        user_message_count -> Int4,
        action_message_count -> Int4,
        deleted_message_count -> Int4,
        private_message_count -> Int4,
        private_deleted_count -> Int4,
        last_message_at -> Nullable<Timestamptz>,
        staff_message_at -> Nullable<Timestamptz>,
        sort_at -> Timestamptz,
        staff_sort_at -> Timestamptz,
        resolved_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
        inbox_id -> Nullable<Uuid>,
        search_language -> Text,
    }
}

diesel::table! {
    translation_claims (message_id, target, source_hash) {
        organization_id -> Uuid,
        message_id -> Uuid,
        target -> Text,
        source_hash -> Bytea,
        holder -> Uuid,
        held_until -> Timestamptz,
    }
}

diesel::table! {
    translations (message_id, language) {
        organization_id -> Uuid,
        message_id -> Uuid,
        language -> Text,
        target -> Text,
        source_hash -> Bytea,
        body -> Text,
        body_html -> Nullable<Text>,
        content -> Nullable<Jsonb>,
        source_language -> Nullable<Text>,
        provider -> Text,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    unused_files (id) {
        id -> Uuid,
        remove_at -> Timestamptz,
        removing -> Bool,
    }
}

diesel::table! {
    users (id) {
        id -> Uuid,
        external_id -> Nullable<Text>,
        kind -> Text,
        name -> Text,
        email -> Nullable<Text>,
        avatar_url -> Nullable<Text>,
        metadata -> Jsonb,
        profile_set_at -> Timestamptz,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    watermarks (thread_id, user_id, kind) {
        thread_id -> Uuid,
        user_id -> Uuid,
        organization_id -> Uuid,
        place_at -> Timestamptz,
        place_seq -> Int8,
        moved_at -> Timestamptz,
        xid -> Int8,
        public_moved_at -> Nullable<Timestamptz>,
        public_xid -> Nullable<Int8>,
        kind -> Text,
    }
}

diesel::table! {
    webhook_terms (id) {
        id -> Int8,
        organization_id -> Uuid,
        webhook_id -> Uuid,
        events -> Array<Nullable<Text>>,
        enabled -> Bool,
        until_xmax -> Int8,
        until_xip -> Array<Nullable<Int8>>,
    }
}

diesel::table! {
    webhooks (id) {
        id -> Uuid,
        organization_id -> Uuid,
        external_id -> Text,
        url -> Text,
        secret -> Text,
        events -> Array<Nullable<Text>>,
        enabled -> Bool,
        position_xmax -> Int8,
        position_xip -> Array<Nullable<Int8>>,
        missed_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        updated_at -> Timestamptz,
    }
}

diesel::joinable!(api_keys -> organizations (organization_id));
diesel::joinable!(attachments -> organizations (organization_id));
diesel::joinable!(deleted_threads -> organizations (organization_id));
diesel::joinable!(events -> organizations (organization_id));
diesel::joinable!(inboxes -> organizations (organization_id));
diesel::joinable!(memberships -> organizations (organization_id));
diesel::joinable!(memberships -> users (user_id));
diesel::joinable!(threads -> organizations (organization_id));
diesel::joinable!(webhooks -> organizations (organization_id));

diesel::allow_tables_to_appear_in_same_query!(
    api_keys,
    attachments,
    deleted_threads,
    deliveries,
    delivery_queues,
    event_retention,
    events,
    hidden_threads,
    inboxes,
    memberships,
    messages,
    organizations,
    participants,
    reactions,
    revisions,
    signing_key,
    threads,
    translation_claims,
    translations,
    unused_files,
    users,
    watermarks,
    webhook_terms,
    webhooks,
);
