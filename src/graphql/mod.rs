//! The schema: one file per noun, thin. Decodes ids, calls one action or one query, wraps rows.
//!
//! Never speaks SQL and never decides who may see what. The words here are the API's reference.

pub mod context;

pub mod answer;

pub mod scalars;

pub mod upload;

pub mod enums;

pub mod connection;

pub mod rounds;

pub mod loaders;

pub mod node;

pub mod organization;

pub mod user;

pub mod viewer;

pub mod thread;

pub mod participant;

pub mod thread_inputs;

pub mod thread_list;

pub mod thread_loaders;

pub mod thread_mutations;

pub mod message;

pub mod message_inputs;

pub mod message_list;

pub mod message_mutations;

pub mod message_progress;

pub mod revision;

pub mod translation;

pub mod inbox;

pub mod inbox_state;

pub mod webhook;

pub mod delivery;

pub mod delivery_loaders;

pub mod search;

pub mod reaction;

pub mod attachment;

pub mod attachment_mutations;

pub mod ephemeral;

pub mod events;

use async_graphql::{MergedObject, SDLExportOptions, Schema, SchemaBuilder};

/// What can be read.
#[derive(Default, MergedObject)]
pub struct Query(
    viewer::ViewerQuery,
    node::NodeQuery,
    organization::OrganizationQuery,
    user::UserQuery,
    thread_list::ThreadQuery,
    message_list::MessageQuery,
    inbox::InboxQuery,
    webhook::WebhookQuery,
    search::SearchQuery,
);

/// What can be done. Each field takes one input and answers null with an error if it fails, so
/// that one failure in a document leaves the others.
#[derive(Default, MergedObject)]
pub struct Mutation(
    thread_mutations::ThreadMutation,
    inbox_state::InboxStateMutation,
    message_mutations::MessageMutation,
    message_progress::MessageProgressMutation,
    translation::TranslationMutation,
    inbox::InboxMutation,
    webhook::WebhookMutation,
    delivery::DeliveryMutation,
    reaction::ReactionMutation,
    attachment_mutations::AttachmentMutation,
    organization::OrganizationMutation,
    user::UserMutation,
    ephemeral::EphemeralMutation,
);

/// The executable schema.
pub type BobbinSchema = Schema<Query, Mutation, events::Subscription>;

/// The schema without anything attached, so that it prints without a database.
pub fn schema() -> SchemaBuilder<Query, Mutation, events::Subscription> {
    Schema::build(Query::default(), Mutation::default(), events::Subscription)
        .register_output_type::<node::Node>()
        .register_output_type::<attachment::AttachmentIsNode>()
        .register_output_type::<events::ThreadEvent>()
}

/// The schema as text, in the schema definition language.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().include_specified_by();
    schema().finish().sdl_with_options(options)
}
