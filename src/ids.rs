//! Typed ids, written as TypeIDs (a prefix and a UUIDv7 in base32), or an object's externalId.
//!
//! Never knows what an id points to, nor who may see it.

use std::fmt;
use std::str::FromStr;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types;
use type_safe_id::{DynamicType, StaticType, TypeSafeId};
use uuid::Uuid;

/// An object as a client names it: by our id, or by the id that a backend gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ref<T> {
    /// Our own id.
    Id(T),
    /// The externalId.
    External(String),
}

impl<T: FromStr> Ref<T> {
    /// Reads what a client sent; whatever is no TypeID of this type is an externalId.
    pub fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(id) => Self::Id(id),
            // PostgreSQL has no texts with this character and refuses to look for one; the empty
            // id is nobody's.
            Err(_) if text.contains('\0') => Self::External(String::new()),
            Err(_) => Self::External(text.to_owned()),
        }
    }
}

/// Whether a text reads as a TypeID of one of our types, which an externalId must not.
pub fn looks_like_ours(text: &str) -> bool {
    const PREFIXES: [&str; 8] = ["org", "usr", "thr", "msg", "att", "inb", "whk", "dlv"];
    text.parse::<TypeSafeId<DynamicType>>()
        .is_ok_and(|id| PREFIXES.contains(&id.type_prefix()))
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = sql_types::Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id, greater than those made before it (by a millisecond or more).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The bare UUID, as the database stores it.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        const _: () = {
            #[derive(Default)]
            struct Prefix;

            impl StaticType for Prefix {
                const TYPE: &'static str = $prefix;
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    TypeSafeId::<Prefix>::from_uuid(self.0).fmt(f)
                }
            }

            impl FromStr for $name {
                type Err = type_safe_id::Error;

                fn from_str(text: &str) -> Result<Self, Self::Err> {
                    text.parse::<TypeSafeId<Prefix>>().map(|id| Self(id.uuid()))
                }
            }
        };

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl ToSql<sql_types::Uuid, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <Uuid as ToSql<sql_types::Uuid, Pg>>::to_sql(&self.0, out)
            }
        }

        impl FromSql<sql_types::Uuid, Pg> for $name {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <Uuid as FromSql<sql_types::Uuid, Pg>>::from_sql(value).map(Self)
            }
        }
    };
}

typed_id!(
    /// An organization, `org_...`.
    OrganizationId,
    "org"
);
typed_id!(
    /// A user, `usr_...`.
    UserId,
    "usr"
);
typed_id!(
    /// A thread, `thr_...`.
    ThreadId,
    "thr"
);
typed_id!(
    /// A message, `msg_...`.
    MessageId,
    "msg"
);
typed_id!(
    /// An inbox, `inb_...`.
    InboxId,
    "inb"
);
typed_id!(
    /// A webhook, `whk_...`.
    WebhookId,
    "whk"
);
typed_id!(
    /// A delivery, `dlv_...`.
    DeliveryId,
    "dlv"
);

typed_id!(
    /// An attachment, `att_...`.
    AttachmentId,
    "att"
);

impl UserId {
    /// Who is nobody: matches no user.
    pub const NOBODY: Self = Self(Uuid::nil());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let id = ThreadId::generate();
        assert_eq!(id.to_string().parse::<ThreadId>().ok(), Some(id));
        assert!(id.to_string().starts_with("thr_"));
    }

    #[test]
    fn an_id_of_another_type_is_taken_for_an_external_id() {
        let text = UserId::generate().to_string();
        assert_eq!(Ref::<ThreadId>::parse(&text), Ref::External(text.clone()));
        assert!(looks_like_ours(&text));
        assert!(!looks_like_ours("order-17"));
        assert!(!looks_like_ours("ord_01h455vb4pex5vsknk084sn02q"));
    }
}
