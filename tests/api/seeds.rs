//! The four systems whose users must feel at home: each of their operations has its test.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// An operation, as its users call it, and the test of it in the module of their system.
type Row = (&'static str, &'static str);

/// A system of theirs.
struct System {
    /// The module of its tests.
    module: &'static str,
    /// Its operations.
    operations: &'static [Row],
}

const SYSTEMS: [System; 4] = [
    System {
        module: "ulule",
        operations: ULULE,
    },
    System {
        module: "cord",
        operations: CORD,
    },
    System {
        module: "chatwoot",
        operations: CHATWOOT,
    },
    System {
        module: "tiledesk",
        operations: TILEDESK,
    },
];

const ULULE: &[Row] = &[
    (
        "POST /threads/:id/messages",
        "post_threads_messages_needs_body_html_structure_or_an_attachment",
    ),
    ("draft", "a_draft_is_for_its_sender_alone_until_it_is_sent"),
    (
        "draft -> attachments -> send",
        "draft_attachments_send_is_one_event_at_the_time_of_sending",
    ),
    (
        "POST /messages/:id/send",
        "post_messages_send_is_for_the_sender_of_a_draft_and_delivers_once",
    ),
    (
        "PATCH /messages/:id",
        "patch_messages_is_for_the_sender_and_takes_body_and_body_html",
    ),
    (
        "GET /threads/:id/messages",
        "get_threads_messages_pages_both_ways_by_the_time_of_sending",
    ),
    (
        "body_html",
        "body_html_is_sanitized_on_the_way_in_and_gives_the_plaintext",
    ),
    (
        "sender_deleted_at",
        "sender_deleted_at_is_a_tombstone_made_by_the_sender_or_an_admin",
    ),
    (
        "thread subject, metadata, recipients",
        "thread_subject_metadata_recipients_are_seen_by_those_who_take_part",
    ),
    (
        "read / unread / unwatch / leave, bulk of them",
        "read_unread_unwatch_leave_bulk_of_them_are_each_viewers_own",
    ),
    (
        "status filter on list",
        "status_filter_on_list_is_unread_and_read_by_default",
    ),
];

const CORD: &[Row] = &[
    (
        "list thread messages, list all messages",
        "list_thread_messages_list_all_messages_count_whatever_the_cursor",
    ),
    ("get message", "get_message_goes_by_our_id_or_theirs"),
    (
        "create message",
        "create_message_is_by_a_key_for_a_sender_and_one_per_external_id",
    ),
    (
        "createThread",
        "create_thread_makes_both_or_neither_and_is_ignored_if_it_exists",
    ),
    (
        "content (MessageContent)",
        "content_message_content_is_nodes_that_read_back_as_they_were_written",
    ),
    ("plaintext", "plaintext_is_joined_leaves_and_never_accepted"),
    ("url", "url_falls_back_to_the_threads"),
    (
        "created / updated / deleted timestamps",
        "created_updated_deleted_timestamps_are_set_by_a_key_and_by_words_alone",
    ),
    ("type, iconURL", "type_icon_url_are_action_by_a_key_alone"),
    ("metadata", "metadata_is_flat_and_replaced_whole"),
    ("extraClassnames", "extra_classnames_are_cleared_by_null"),
    (
        "addReactions, removeReactions",
        "add_reactions_remove_reactions_are_unique_per_user_message_and_emoji",
    ),
    (
        "addAttachments, removeAttachments",
        "add_attachments_remove_attachments_are_the_senders_own_and_drop_no_other",
    ),
    (
        "annotation attachment",
        "annotation_attachment_is_a_screenshot_a_selected_text_and_a_location",
    ),
    (
        "signed file URL, uploadStatus",
        "signed_file_url_upload_status_is_signed_when_resolved_and_told_live",
    ),
    (
        "seenBy",
        "seen_by_comes_from_watermarks_and_deleting_recomputes_unread",
    ),
    (
        "deleted, deletedTimestamp, delete message",
        "deleted_deleted_timestamp_delete_message_are_soft_or_for_good",
    ),
    (
        "append (AI streaming)",
        "append_ai_streaming_loses_nothing_and_tells_the_added_text_alone",
    ),
    (
        "resolve / reopen thread",
        "resolve_reopen_thread_is_one_action_that_names_the_actor",
    ),
    (
        "thread counts, first/last message, subscribers, typing, seen",
        "thread_counts_first_last_message_subscribers_typing_seen_follow_the_messages",
    ),
];

const CHATWOOT: &[Row] = &[
    (
        "list (page, before, after)",
        "list_page_before_after_loses_no_message_of_the_same_second",
    ),
    (
        "create message",
        "create_message_takes_text_html_and_structure_of_150000_characters",
    ),
    (
        "message_type incoming / outgoing / activity",
        "message_type_incoming_outgoing_activity_is_direction_and_type",
    ),
    ("private", "private_notes_leave_no_trace_for_a_contact"),
    (
        "content_type",
        "content_type_text_input_text_input_textarea_input_email_input_select_cards_form_article_is_strict",
    ),
    (
        "submitted values",
        "submitted_values_are_checked_against_the_form_and_stored_once",
    ),
    (
        "status; update message",
        "status_sent_delivered_read_failed_update_message_moves_up_in_an_api_inbox",
    ),
    ("in_reply_to", "in_reply_to_is_a_message_of_the_same_thread"),
    (
        "delete",
        "delete_is_for_agents_in_their_threads_and_for_members_of_their_own",
    ),
    (
        "retry",
        "retry_sends_what_failed_once_more_and_keeps_everything_else",
    ),
    (
        "translate, cached",
        "translate_once_for_all_who_ask_until_it_is_edited",
    ),
    (
        "delivery by webhook (API inbox)",
        "delivery_by_webhook_of_an_api_inbox_is_signed_repeated_and_settled",
    ),
    (
        "error responses",
        "error_responses_message_not_found_invalid_message_type_api_inbox_required_translation_failed_are_codes",
    ),
    (
        "content_attributes",
        "content_attributes_are_fields_of_their_own_types",
    ),
    (
        "attachments by multipart",
        "attachments_by_multipart_are_what_they_declare_and_never_run",
    ),
];

const TILEDESK: &[Row] = &[
    (
        "get messages of a request, get one",
        "get_messages_of_a_request_get_one_only_through_a_thread_that_is_seen",
    ),
    (
        "send; the first message makes the request",
        "send_first_message_makes_the_request_with_departmentid_source_page_language_user_agent",
    ),
    (
        "sender, senderFullname, recipient",
        "sender_sender_fullname_recipient_are_the_sender_his_name_and_the_thread",
    ),
    (
        "status -100 to 300",
        "status_minus_100_0_100_150_200_250_300_moves_upward_only_and_live",
    ),
    (
        "type text or image, metadata",
        "type_text_or_image_metadata_src_width_height_are_checked",
    ),
    (
        "text required",
        "text_required_for_every_text_message_not_only_the_first",
    ),
    (
        "attributes",
        "attributes_are_metadata_or_content_attributes",
    ),
    (
        "createdAt, updatedAt, createdBy, id_project",
        "created_at_updated_at_created_by_id_project_are_times_sender_and_organization",
    ),
    (
        "auth: Basic or JWT",
        "auth_basic_or_jwt_is_both_basic_for_servers_and_bearer_for_people",
    ),
];

#[test]
fn every_operation_of_theirs_has_its_test() {
    for system in SYSTEMS {
        let tests: HashSet<String> = tests(system.module).into_iter().collect();
        for (operation, name) in system.operations {
            assert!(
                tests.contains(*name),
                "{}: there is no test {name} for {operation}",
                system.module
            );
        }
    }
}

#[test]
fn every_test_of_theirs_is_for_an_operation() {
    for system in SYSTEMS {
        let named: HashSet<&str> = system.operations.iter().map(|(_, name)| *name).collect();
        for test in tests(system.module) {
            let known = named.contains(&*test);
            assert!(known, "{}::{test} is for no operation", system.module);
        }
    }
}

/// The names of the tests of a module, of its own file and of those under it.
fn tests(module: &str) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api");
    let mut files = vec![root.join(format!("{module}.rs"))];
    if let Ok(entries) = fs::read_dir(root.join(module)) {
        let paths = entries.map(|entry| entry.expect("an entry").path());
        files.extend(paths.collect::<Vec<PathBuf>>());
    }
    // A module that is not there has no tests.
    let texts = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok());
    texts.flat_map(|text| tests_in(&text)).collect()
}

/// The names of the functions of a source that are marked as tests.
fn tests_in(source: &str) -> Vec<String> {
    let marked = source.split("test]\n").skip(1);
    let name = |after: &str| {
        let (_, signature) = after.split_once("fn ").expect("a function");
        let (name, _) = signature.split_once('(').expect("its arguments");
        name.to_owned()
    };
    marked.map(name).collect()
}
