//! The ways by which a viewer comes to see threads: the rule of `access` taken apart, so that
//! lists and totals read each part from an index that has it in order. Together they are the
//! rule, and no thread comes by two of them.
//!
//! They only narrow: whatever they choose is shown under the rule itself.

use diesel::dsl::{auto_type, not, sql};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use crate::auth::Viewer;
use crate::db::enums::{Access, Role};
use crate::db::schema::{messages, participants, threads};
use crate::ids::{OrganizationId, UserId};

/// What an organization's threads may be open to.
const ALL: [Access; 3] = [Access::Participants, Access::Agents, Access::Organization];

/// A condition on threads.
pub type OnThreads = Box<dyn BoxableExpression<threads::table, Pg, SqlType = Bool>>;

/// A condition on messages.
pub type OnMessages = Box<dyn BoxableExpression<messages::table, Pg, SqlType = Bool>>;

/// A way by which a viewer comes to see threads.
#[derive(Debug, Clone)]
pub enum Way {
    /// Every thread of the server.
    Anywhere,
    /// The threads of an organization that are open to one of these.
    Open(OrganizationId, Vec<Access>),
    /// The threads in which the viewer takes part and that are not open to him anyway.
    Part(Part),
}

/// Whose part in which threads.
#[derive(Debug, Clone)]
pub struct Part {
    user: UserId,
    member_of: Vec<OrganizationId>,
    staff_of: Vec<OrganizationId>,
    insider_of: Vec<OrganizationId>,
}

impl Way {
    /// All ways of a viewer, or those that lead to threads of one organization.
    pub fn of(viewer: &Viewer, within: Option<OrganizationId>) -> Vec<Self> {
        let inside = |id: OrganizationId| within.is_none_or(|within| within == id);
        let Some(user) = viewer.user_id() else {
            return match within.or(viewer.bound) {
                Some(id) if viewer.key_reaches(id) => vec![Self::Open(id, ALL.to_vec())],
                Some(_) => Vec::new(),
                None => vec![Self::Anywhere],
            };
        };
        let memberships = viewer.memberships.iter().filter(|(id, _)| inside(*id));
        let open = |(id, role): &(OrganizationId, Role)| match role {
            Role::Admin | Role::Agent => {
                Some(Self::Open(*id, vec![Access::Agents, Access::Organization]))
            }
            Role::Member => Some(Self::Open(*id, vec![Access::Organization])),
            Role::Contact => None,
        };
        let mut ways: Vec<Self> = memberships.filter_map(open).collect();
        let within = |test: fn(Role) -> bool| {
            let mut ids = viewer.organizations(test);
            ids.retain(|id| inside(*id));
            ids
        };
        ways.push(Self::Part(Part {
            user,
            member_of: within(|_| true),
            staff_of: within(Role::is_staff),
            insider_of: within(|role| role != Role::Contact),
        }));
        ways
    }

    /// The same, each with one access at most: an index orders the threads of each.
    pub fn by_access(self) -> Vec<Self> {
        match self {
            Self::Open(id, to) => {
                let one = |access| Self::Open(id, vec![access]);
                to.into_iter().map(one).collect()
            }
            other => vec![other],
        }
    }

    /// The organization that it leads to, if it leads to one alone.
    pub fn organization(&self) -> Option<OrganizationId> {
        match self {
            Self::Open(id, _) => Some(*id),
            Self::Anywhere | Self::Part(_) => None,
        }
    }

    /// The condition on threads.
    pub fn threads(&self) -> OnThreads {
        match self {
            Self::Anywhere => Box::new(sql::<Bool>("true")),
            Self::Open(id, to) => match to.as_slice() {
                // One value, not a list: an index that begins with it has the rest in order.
                [access] => Box::new(
                    threads::organization_id
                        .eq(*id)
                        .and(threads::access.eq(*access)),
                ),
                _ => Box::new(
                    threads::organization_id
                        .eq(*id)
                        .and(threads::access.eq_any(to.clone())),
                ),
            },
            Self::Part(part) => Box::new(part_in(
                part.user,
                part.member_of.clone(),
                part.staff_of.clone(),
                part.insider_of.clone(),
            )),
        }
    }

    /// The condition on messages in those threads.
    pub fn messages(&self) -> OnMessages {
        match self {
            Self::Anywhere => Box::new(sql::<Bool>("true")),
            Self::Open(id, to) if to.len() == ALL.len() => {
                Box::new(messages::organization_id.eq(*id))
            }
            Self::Open(id, _) => Box::new(
                messages::organization_id.eq(*id).and(
                    messages::thread_id.eq_any(
                        threads::table
                            .filter(self.threads())
                            .select(threads::id)
                            .into_boxed(),
                    ),
                ),
            ),
            Self::Part(_) => Box::new(
                messages::thread_id.eq_any(
                    threads::table
                        .filter(self.threads())
                        .select(threads::id)
                        .into_boxed(),
                ),
            ),
        }
    }
}

#[auto_type]
fn part_in(
    user: UserId,
    member_of: Vec<OrganizationId>,
    staff_of: Vec<OrganizationId>,
    insider_of: Vec<OrganizationId>,
) -> _ {
    let agents: Access = Access::Agents;
    let organization: Access = Access::Organization;
    let as_staff = threads::access
        .eq(agents)
        .and(threads::organization_id.eq_any(staff_of));
    let as_insider = threads::access
        .eq(organization)
        .and(threads::organization_id.eq_any(insider_of));
    let own = participants::table
        .filter(participants::user_id.eq(user))
        .select(participants::thread_id);
    threads::id
        .eq_any(own)
        .and(threads::organization_id.eq_any(member_of))
        .and(not(as_staff.or(as_insider)))
}
