//! Objects by their id alone, as the Relay object identification specification has it.

use async_graphql::{Context, ID, Interface, Object};

use crate::db::access::find;
use crate::error::{Error, Result};
use crate::graphql::context::Ask;
use crate::graphql::inbox::Inbox;
use crate::graphql::message::Message;
use crate::graphql::organization::Organization;
use crate::graphql::thread::Thread;
use crate::graphql::user::User;
use crate::ids::Ref;

/// An object with an id of its own.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "Its id, a TypeID such as thr_01h455vb4pex5vsknk084sn02q."
))]
pub enum Node {
    /// An organization.
    Organization(Organization),
    /// A user.
    User(User),
    /// A thread.
    Thread(Thread),
    /// A message.
    Message(Message),
    /// An inbox.
    Inbox(Inbox),
}

/// Most ids of one `nodes` call.
const MAX_IDS: usize = 100;

/// Look-ups by id.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id; null if there is none that the viewer may see.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An id as the API wrote it; not an externalId.")] id: ID,
    ) -> Result<Option<Node>> {
        find(ctx, &id).await
    }

    /// The objects with these ids, in that order; null for each that the viewer may not see.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At most 100 ids as the API wrote them.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > MAX_IDS {
            return Err(Error::field("ids", format!("at most {MAX_IDS} at once")));
        }
        let found = ids.iter().map(|id| find(ctx, id));
        futures_util::future::try_join_all(found).await
    }
}

async fn find(ctx: &Context<'_>, id: &str) -> Result<Option<Node>> {
    let (app, viewer) = (ctx.app(), ctx.viewer()?);
    let prefix = id.split_once('_').map_or("", |(prefix, _)| prefix);
    let conn = &mut app.conn().await?;
    let found = match prefix {
        "org" => match Ref::parse(id) {
            Ref::External(_) => return Ok(None),
            name => find::organization(conn, &viewer, &name)
                .await
                .map(|found| Node::Organization(Organization::new(found))),
        },
        "usr" => match Ref::parse(id) {
            Ref::External(_) => return Ok(None),
            name => find::user(conn, &viewer, &name)
                .await
                .map(|found| Node::User(User::new(found))),
        },
        "thr" => match Ref::parse(id) {
            Ref::External(_) => return Ok(None),
            name => find::thread(conn, &viewer, &name)
                .await
                .map(|found| Node::Thread(Thread::new(found))),
        },
        "msg" => match Ref::parse(id) {
            Ref::External(_) => return Ok(None),
            name => find::message(conn, &viewer, &name)
                .await
                .map(|found| Node::Message(Message::new(found))),
        },
        "inb" => match Ref::parse(id) {
            Ref::External(_) => return Ok(None),
            name => find::inbox(conn, &viewer, &name)
                .await
                .map(|found| Node::Inbox(Inbox::new(found))),
        },
        _ => return Ok(None),
    };
    match found {
        Ok(node) => Ok(Some(node)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
