//! What messages say in other languages: out of the cache, or by asking the provider once,
//! whoever wants it at the same time, on this server or on another one.
//!
//! No event tells of it: what a message says stays the same, and who asked has the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diesel_async::AsyncConnection;
use futures_util::FutureExt;
use uuid::Uuid;

use crate::app::App;
use crate::auth::Viewer;
use crate::content::language::Language;
use crate::content::translation::Source;
use crate::db::access::{MessageAccess, find};
use crate::db::message::Message;
use crate::db::translation::{self, Translation, Work};
use crate::error::{Error, Faults, Result};
use crate::ids::{MessageId, Ref};
use crate::metrics::Translating;
use crate::translation::answer::Failure;
use crate::translation::{Asked, NAME, Translator};

/// What a server needs around the provider's answer; who holds work for longer has died.
const AROUND: Duration = Duration::from_secs(5);

/// How long to wait before looking again at what another server does, at first and at most.
const GLANCES: [Duration; 2] = [Duration::from_millis(20), Duration::from_millis(320)];

/// A message's text and the language that it is wanted in.
struct Wish {
    message: Message,
    source: Source,
    hash: Vec<u8>,
    language: Language,
}

/// What a message says in another language.
pub async fn translate(
    app: &Arc<App>,
    viewer: &Viewer,
    name: &Ref<MessageId>,
    language: &str,
) -> Result<(Translation, MessageAccess)> {
    let mut faults = Faults::default();
    let language = Language::parse(language);
    if language.is_none() {
        faults.add("language", "must be a BCP 47 tag, such as de or pt-BR");
    }
    let mut conn = app.conn().await?;
    let access = match find::message(&mut conn, viewer, name).await {
        Err(error @ Error::NotFound(_)) => return Err(faults.or(error)),
        found => found?,
    };
    faults.finish()?;
    let language = language.expect("else it is a fault");
    let wish = Wish::of(&access, language)?;
    let (id, tag) = (wish.message.id, wish.language.to_string());
    if let Some(known) = translation::find(&mut conn, id, &wish.hash, &tag).await? {
        app.metrics.translated(Translating::Cached);
        return Ok((known, access));
    }
    // Nobody keeps a connection while the provider thinks.
    drop(conn);
    let translator = app.translator.clone();
    let translator = translator.ok_or_else(|| failed("no provider is configured"))?;
    let hash = wish.hash.clone();
    let begin = || {
        let app = Arc::clone(app);
        async move { make(&app, &translator, &wish).await }.boxed()
    };
    let made = app.translating.join((id, hash.clone(), tag), begin).await?;
    // Meanwhile the message may have gone, or out of the viewer's sight.
    let mut conn = app.conn().await?;
    let access = find::message(&mut conn, viewer, &Ref::Id(id)).await?;
    let now = Source::of(access.message().words());
    if access.message().deleted_at.is_some() || now.hash() != hash {
        return Err(Error::Conflict(
            "the message has changed meanwhile: ask again".to_owned(),
        ));
    }
    Ok((made, access))
}

impl Wish {
    fn of(access: &MessageAccess, language: Language) -> Result<Self> {
        let message = access.message().clone();
        if message.deleted_at.is_some() {
            return Err(Error::Conflict("the message is deleted".to_owned()));
        }
        let source = Source::of(message.words());
        Ok(Self {
            hash: source.hash(),
            source,
            message,
            language,
        })
    }

    /// The row for what the provider said.
    fn row(
        &self,
        app: &App,
        target: &str,
        texts: Vec<String>,
        from: Option<String>,
    ) -> Translation {
        let translated = self.source.with(texts);
        Translation {
            organization_id: self.message.organization_id,
            message_id: self.message.id,
            language: self.language.to_string(),
            target: target.to_owned(),
            source_hash: self.hash.clone(),
            body: translated.body,
            body_html: translated.body_html,
            content: translated.content,
            source_language: from,
            provider: NAME.to_owned(),
            created_at: app.clock.now(),
        }
    }
}

/// Makes a translation that this server does not know of yet.
async fn make(app: &Arc<App>, translator: &Arc<Translator>, wish: &Wish) -> Result<Translation> {
    let texts = wish.source.texts();
    if texts.is_empty() {
        // Without words it is the same in every language.
        let row = wish.row(app, "", Vec::new(), None);
        return keep(app, row, None).await;
    }
    let target = translator.code(&wish.language).await;
    let target = target.map_err(|failure| told(app, &failure))?;
    let work = Work {
        message_id: wish.message.id,
        source_hash: &wish.hash,
        target: &target,
    };
    let holder = Uuid::now_v7();
    if let Some(done) = hold(app, work, holder, translator.timeout() + AROUND).await? {
        let language = wish.language.to_string();
        if done.language == language {
            return Ok(done);
        }
        // Several of our languages are one of the provider's.
        return keep(app, Translation { language, ..done }, None).await;
    }
    // Outside of any transaction: a provider may take long.
    let asked = Asked {
        texts: &texts,
        listed: wish.source.is_structured(),
        html: wish.source.is_html(),
        target: &target,
    };
    match translator.translate(&asked).await {
        Ok(answer) => {
            app.metrics.translated(Translating::Made);
            let row = wish.row(app, &target, answer.texts, answer.source_language);
            keep(app, row, Some(holder)).await
        }
        Err(failure) => {
            let mut conn = app.conn().await?;
            translation::release(&mut conn, wish.message.id, holder).await?;
            Err(told(app, &failure))
        }
    }
}

/// Takes work upon this server, or waits for what comes of it on another one.
async fn hold(
    app: &App,
    work: Work<'_>,
    holder: Uuid,
    time: Duration,
) -> Result<Option<Translation>> {
    let (began, [mut pause, longest]) = (Instant::now(), GLANCES);
    loop {
        let mut conn = app.conn().await?;
        if let Some(done) = translation::done(&mut conn, work).await? {
            return Ok(Some(done));
        }
        if translation::claim(&mut conn, work, holder, time).await? {
            // Done between the look and the claim, it need not be done again.
            let done = translation::done(&mut conn, work).await?;
            if done.is_some() {
                translation::release(&mut conn, work.message_id, holder).await?;
            }
            return Ok(done);
        }
        drop(conn);
        if began.elapsed() > time {
            return Err(failed("another server has asked for it without success"));
        }
        tokio::time::sleep(pause).await;
        pause = longest.min(pause * 2);
    }
}

/// Keeps a translation, and gives up the claim to make it.
async fn keep(app: &App, row: Translation, holder: Option<Uuid>) -> Result<Translation> {
    let mut conn = app.conn().await?;
    conn.transaction(async |conn| {
        let kept = translation::keep(conn, row).await?;
        if let Some(holder) = holder {
            translation::release(conn, kept.message_id, holder).await?;
        }
        Ok(kept)
    })
    .await
}

/// A failure of the provider as the client is told of it.
fn told(app: &App, failure: &Failure) -> Error {
    let outcome = match failure {
        Failure::Broken(_) => Translating::Failed,
        Failure::Refused(_) => Translating::Refused,
        Failure::Resting(_) => Translating::Resting,
    };
    app.metrics.translated(outcome);
    tracing::debug!(?failure, "a message was not translated");
    failed(&format!("the translation provider: {}", failure.reason()))
}

fn failed(reason: &str) -> Error {
    Error::TranslationFailed(reason.to_owned())
}
