//! The API: devices, and readings that are stored; all of it read-only, all of it bounded.

use crate::readings::channel_of;
use crate::store::{Query, QueryError, Rows, channel_names};
use crate::ward::Ward;
use crate::web::Shared;
use axum::Json;
use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{self, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a question for readings may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    channel: Option<String>,
    boot: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    limit: Option<u32>,
}

/// The routes below `/api`, and `/health`.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/health", get(health))
        .route("/api/devices", get(devices))
        .route("/api/devices/{id}", get(device))
        .route("/api/devices/{id}/{rows}", get(rows))
}

/// An answer that says what is wrong.
#[must_use]
pub fn failure(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}

async fn devices(State(shared): State<Shared>) -> Response {
    let all = shared.ward.devices.all();
    let list: Vec<_> = all.iter().map(|device| device.summary()).collect();
    let ward = health_json(&shared.ward).0;
    Json(json!({ "devices": list, "ward": ward })).into_response()
}

async fn device(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    match shared.ward.devices.get(&id) {
        Some(device) => Json(device.snapshot()).into_response(),
        None => failure(StatusCode::NOT_FOUND, "no device of this name"),
    }
}

async fn rows(
    State(shared): State<Shared>,
    Path((id, rows)): Path<(String, String)>,
    parameters: Result<extract::Query<Parameters>, QueryRejection>,
) -> Response {
    let query = match parameters {
        Ok(parameters) => question(id, &rows, &parameters.0),
        Err(rejection) => return failure(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let query = match query {
        Ok(query) => query,
        Err((status, error)) => return failure(status, &error),
    };
    let Ok(permit) = Arc::clone(&shared.readers).acquire_owned().await else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "the ward ends");
    };
    let ward = Arc::clone(&shared.ward);
    let answered = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        ward.store.query(&query)
    });
    match answered.await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(QueryError::Unknown)) => failure(
            StatusCode::NOT_FOUND,
            "nothing is stored of this device, or not of this start of it",
        ),
        Ok(Err(QueryError::Database(error))) => {
            let text = format!("the database does not answer: {error}");
            failure(StatusCode::SERVICE_UNAVAILABLE, &text)
        }
        Err(_) => failure(StatusCode::INTERNAL_SERVER_ERROR, "the question was lost"),
    }
}

fn question(
    device: String,
    rows: &str,
    parameters: &Parameters,
) -> Result<Query, (StatusCode, String)> {
    let bad = |text: String| Err((StatusCode::BAD_REQUEST, text));
    let rows = match rows {
        "strips" => match parameters.channel.as_deref().map(channel_of) {
            Some(Some(channel)) => Rows::Strips(channel),
            _ => return bad(format!("channel must be one of: {}", channel_names())),
        },
        "numerics" => Rows::Numerics,
        "alarms" => Rows::Alarms,
        "events" => Rows::Events,
        "statuses" => Rows::Statuses,
        "gaps" => Rows::Gaps,
        _ => {
            let text = "ask for strips, numerics, alarms, events, statuses or gaps";
            return Err((StatusCode::NOT_FOUND, text.to_owned()));
        }
    };
    let boot = match parameters.boot.as_deref() {
        None => None,
        Some(text) => match u64::from_str_radix(text, 16) {
            Ok(boot) => Some(boot),
            Err(_) => return bad("boot must be a hexadecimal number".to_owned()),
        },
    };
    let (from, to) = (
        parameters.from.unwrap_or(0),
        parameters.to.unwrap_or(u64::MAX),
    );
    if from > to {
        return bad("from must not be after to".to_owned());
    }
    Ok(Query {
        device,
        boot,
        rows,
        from,
        to,
        limit: parameters.limit,
    })
}

async fn health(State(shared): State<Shared>) -> Response {
    let (body, is_well) = health_json(&shared.ward);
    let status = if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body)).into_response()
}

/// How the ward is, and whether that is well.
#[must_use]
pub fn health_json(ward: &Ward) -> (Value, bool) {
    let database = ward.store.state();
    let is_well = database.state == "ok";
    let (records, bytes) = ward.store.queue.size();
    let all = ward.devices.all();
    let connected = all.iter().filter(|device| device.summary().connected);
    let body = json!({
        "status": if is_well { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": ward.started.elapsed().as_secs(),
        "channel": ward.protection.name(),
        "database": {
            "state": database.state,
            "detail": database.detail,
            "since_unix_ms": database.since_unix_ms,
            "bytes": ward.store.bytes(),
        },
        "buffered_records": records,
        "buffered_bytes": bytes,
        "not_kept": ward.counters.not_kept.get(),
        "devices": all.len(),
        "connected": connected.count(),
    });
    (body, is_well)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(rows: &str, parameters: Parameters) -> Result<Query, StatusCode> {
        question("bed".to_owned(), rows, &parameters).map_err(|(status, _)| status)
    }

    #[test]
    fn questions_are_checked() {
        let channel = |name: &str| Parameters {
            channel: Some(name.to_owned()),
            ..Parameters::default()
        };
        assert!(ask("strips", channel("pleth")).is_ok());
        assert_eq!(
            ask("strips", channel("abp")).err(),
            Some(StatusCode::BAD_REQUEST)
        );
        assert_eq!(
            ask("strips", Parameters::default()).err(),
            Some(StatusCode::BAD_REQUEST)
        );
        assert_eq!(
            ask("patients", Parameters::default()).err(),
            Some(StatusCode::NOT_FOUND)
        );
        let backwards = Parameters {
            from: Some(2),
            to: Some(1),
            ..Parameters::default()
        };
        assert_eq!(
            ask("numerics", backwards).err(),
            Some(StatusCode::BAD_REQUEST)
        );
        let boot = Parameters {
            boot: Some("ff".to_owned()),
            ..Parameters::default()
        };
        assert_eq!(ask("gaps", boot).map(|query| query.boot), Ok(Some(255)));
    }
}
