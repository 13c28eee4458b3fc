//! The page, and what it is fed with.

use crate::api;
use crate::devices::{Cursor, Device};
use crate::ingest::stopped;
use crate::listener::Bounded;
use crate::log;
use crate::metrics;
use crate::readings::{Strip, channel_name};
use crate::ward::Ward;
use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Interval;

/// Most pages that follow a device at once.
const MAX_FOLLOWERS: usize = 64;
/// How often a page gets what is new.
const TICK: Duration = Duration::from_millis(100);
/// Every so many ticks a page gets something even where nothing is new, so that it knows that we live.
const HEARTBEAT_TICKS: u32 = 5;

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page's files: path, type, contents.
const FILES: [(&str, &str, &str); 7] = [
    (
        "/",
        "text/html; charset=utf-8",
        include_str!("page/index.html"),
    ),
    (
        "/page.css",
        "text/css; charset=utf-8",
        include_str!("page/page.css"),
    ),
    (
        "/page.js",
        "text/javascript; charset=utf-8",
        include_str!("page/page.js"),
    ),
    (
        "/clock.js",
        "text/javascript; charset=utf-8",
        include_str!("page/clock.js"),
    ),
    (
        "/sweep.js",
        "text/javascript; charset=utf-8",
        include_str!("page/sweep.js"),
    ),
    (
        "/panels.js",
        "text/javascript; charset=utf-8",
        include_str!("page/panels.js"),
    ),
    ("/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];

/// What handlers share.
#[derive(Clone)]
pub struct Shared {
    /// The ward.
    pub ward: Arc<Ward>,
    followers: Arc<Semaphore>,
    /// Questions to the database at once.
    pub readers: Arc<Semaphore>,
}

/// Serves until the ward ends.
pub async fn serve(ward: Arc<Ward>, listener: Bounded) {
    let mut stopping = ward.stopping();
    let app = router(ward);
    let served = axum::serve(listener, app)
        .with_graceful_shutdown(async move { stopped(&mut stopping).await })
        .await;
    if let Err(error) = served {
        log!("the page is gone: {error}");
    }
}

fn router(ward: Arc<Ward>) -> Router {
    let mut router = Router::new();
    for (path, kind, contents) in FILES {
        router = router.route(path, get(move || file(kind, contents)));
    }
    router
        .route("/api/devices/{id}/live", get(live))
        .route("/metrics", get(metrics::show))
        .merge(api::routes())
        .fallback(|| async { api::failure(StatusCode::NOT_FOUND, "there is nothing here") })
        .layer(middleware::from_fn(guard))
        .with_state(Shared {
            ward,
            followers: Arc::new(Semaphore::new(MAX_FOLLOWERS)),
            readers: Arc::new(Semaphore::new(4)),
        })
}

/// Headers of every answer.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn file(kind: &'static str, contents: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind)], contents)
}

/// Follows a device: server-sent events, a JSON object each.
async fn live(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let Some(device) = shared.ward.devices.get(&id) else {
        return api::failure(StatusCode::NOT_FOUND, "no device of this name");
    };
    let Ok(permit) = Arc::clone(&shared.followers).try_acquire_owned() else {
        return api::failure(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open");
    };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let follower = Follower {
        stopping: shared.ward.stopping(),
        ward: shared.ward,
        device,
        cursor: Cursor::default(),
        tick,
        quiet_ticks: HEARTBEAT_TICKS,
        _permit: permit,
    };
    let events = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Sse::new(events).into_response()
}

struct Follower {
    ward: Arc<Ward>,
    stopping: watch::Receiver<bool>,
    device: Arc<Device>,
    cursor: Cursor,
    tick: Interval,
    quiet_ticks: u32,
    _permit: OwnedSemaphorePermit,
}

impl Follower {
    /// The next event; `None` when the ward ends.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                _ = self.tick.tick() => {}
                () = stopped(&mut self.stopping) => return None,
            }
            let update = self.device.update(&mut self.cursor);
            self.quiet_ticks += 1;
            let is_quiet = update.strips.is_empty() && update.snapshot.is_none();
            if is_quiet && self.quiet_ticks < HEARTBEAT_TICKS {
                continue;
            }
            let mut message = json!({
                "age_ms": update.age_ms,
                "state": update.state,
                "strips": update.strips.iter().map(|strip| strip_json(strip)).collect::<Vec<_>>(),
            });
            if let Some(snapshot) = update.snapshot {
                message["device"] = serde_json::to_value(snapshot).unwrap_or_default();
            }
            if self.quiet_ticks >= HEARTBEAT_TICKS {
                message["ward"] = api::health_json(&self.ward).0;
                self.quiet_ticks = 0;
            }
            return Some(Event::default().data(message.to_string()));
        }
    }
}

fn strip_json(strip: &Strip) -> Value {
    json!({
        "channel": channel_name(strip.channel),
        "first": strip.first_sample,
        "t_us": strip.t_us,
        "rate_hz": f64::from(strip.rate_decihertz) / 10.0,
        "samples": strip.samples,
    })
}
