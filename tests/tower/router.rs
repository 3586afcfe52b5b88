//! An axum application as one would write it for a server of its own, but for what `/meta` prints.

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::Path,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use cgigate::adapter::MetaVariables;
use std::time::Duration;

pub(crate) fn router() -> Router {
    Router::new()
        .route("/hello", get(|| async { "Hello World\n" }))
        .route("/echo", post(|body: Body| async { Response::new(body) }))
        .route("/count", post(count))
        .route("/task", post(task))
        .route("/meta/{*path}", get(meta))
        .route("/sleep", get(sleep))
        .route("/fault/{how}", get(fault))
        .route(
            "/connection",
            get(|| async { ([("connection", "close"), ("x-kept", "1")], "one\n") }),
        )
        .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
}

async fn count(body: Body) -> Response {
    match to_bytes(body, usize::MAX).await {
        Ok(bytes) => format!("{}\n", bytes.len()).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

/// The body is read by a task of its own, which nobody polls but the runtime.
async fn task(body: Body) -> String {
    let read = tokio::spawn(async { to_bytes(body, usize::MAX).await.map(|bytes| bytes.len()) });
    format!("{:?}\n", read.await.map_err(|error| error.is_panic()))
}

async fn meta(
    Extension(meta): Extension<MetaVariables>,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> String {
    let user = meta.native("REMOTE_USER").unwrap_or_default();
    let agent = headers.get("user-agent").map(|value| value.as_bytes().escape_ascii().to_string());
    let (script, agent) = (meta.link(""), agent.unwrap_or_default());
    format!("path={path}\nuri={uri}\nscript={script}\nuser={user}\nagent={agent}\n")
}

async fn sleep() -> &'static str {
    tokio::time::sleep(Duration::from_millis(5)).await;
    "slept\n"
}

async fn fault(Path(how): Path<String>) -> String {
    match &*how {
        "panic" => panic!("a panic, as asked for"),
        // One that nobody sees but the log.
        "task" => {
            let task = tokio::spawn(async { panic!("a panic in a task") });
            format!("{}\n", task.await.is_err())
        }
        other => other.to_owned(),
    }
}
