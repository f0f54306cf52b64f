//! The server: files of a folder, the module, what is new, a page that shows it. It serves what it was asked for by name, to
//! pages that came from it, and nothing from outside the folder. What there is to tell is in `site`.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use futures_util::Stream;
use serde::Deserialize;
use wasmend::inspect::{Map, PartKind};

use crate::cli::serve::site::Site;

/// The longest text that a page may save.
const MOST_TEXT: usize = 64 << 10;

/// What the server serves, and to whom.
pub(super) struct Served {
    pub(super) site: Arc<Site>,
    /// The folder of static files, without symbolic links.
    pub(super) root: PathBuf,
    pub(super) output: PathBuf,
    /// The file that a page may write: the demo's text.
    pub(super) source: Option<PathBuf>,
    /// Names under which the server may be asked for, beside those of this machine.
    pub(super) hosts: Vec<String>,
    /// Whether pages are to be isolated, so that they may share memory between threads.
    pub(super) isolated: bool,
}

type Shared = State<Arc<Served>>;

/// All that the server answers to.
pub(super) fn router(served: Arc<Served>) -> Router {
    Router::new()
        .route("/__wasmend/", get(page))
        .route("/__wasmend/status.json", get(status))
        .route("/__wasmend/events", get(events))
        .route("/__wasmend/delta/{name}", get(delta))
        .route("/__wasmend/undo/{name}", get(undo))
        .route("/__wasmend/client/{name}", get(client))
        .route("/__wasmend/source", put(save))
        .fallback(get(file))
        .layer(middleware::from_fn_with_state(served.clone(), guard))
        .with_state(served)
}

/// Turns away who is not from here, and says of every answer how it may be used.
async fn guard(State(served): Shared, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = host_of(headers).unwrap_or_default();
    if !served.is_host(&host) {
        let text =
            format!("this server is not called `{host}`: give that name with --allow-host\n");
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let is_own = request.uri().path().starts_with("/__wasmend/");
    if is_own && !is_of_own_origin(headers) {
        return (
            StatusCode::FORBIDDEN,
            "only pages of this server may ask for this\n",
        )
            .into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut set = |name: header::HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    // Everything here changes while it is looked at.
    set(header::CACHE_CONTROL, "no-store");
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    if served.isolated {
        set(
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        );
        set(
            header::HeaderName::from_static("cross-origin-embedder-policy"),
            "require-corp",
        );
        set(
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        );
    }
    response
}

/// The name by which the server was asked for, without its port.
fn host_of(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    Some(name.to_ascii_lowercase())
}

/// Whether a request comes from a page of this server, or from no page.
fn is_of_own_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text("sec-fetch-site").is_some_and(|site| !matches!(site, "same-origin" | "none")) {
        return false;
    }
    match (text("origin"), text("host")) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|origin| origin.eq_ignore_ascii_case(host)),
        _ => false,
    }
}

impl Served {
    /// A page elsewhere can let its own name lead to this machine: what is served is for who asks by a name of ours.
    fn is_host(&self, host: &str) -> bool {
        let is_address = host.parse::<IpAddr>().is_ok();
        is_address
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.hosts.iter().any(|known| known == host)
    }

    /// The file of the folder that a path names, if there is one.
    fn find(&self, path: &str) -> Option<PathBuf> {
        let decoded = decode(path)?;
        let relative = Path::new(decoded.trim_start_matches('/'));
        let is_plain = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || decoded.contains(['\\', '\0']) {
            return None;
        }
        let mut found = self.root.join(relative).canonicalize().ok()?;
        if found.is_dir() {
            found = found.join("index.html").canonicalize().ok()?;
        }
        // Symbolic links may lead about in the folder, but not out of it.
        (found.starts_with(&self.root) && found.is_file()).then_some(found)
    }

    /// The module, of the version that there is.
    fn module(&self) -> std::io::Result<Vec<u8>> {
        std::fs::read(&self.output)
    }
}

/// Undoes percent-encoding. `None` if it is none, or no text.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, others) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = others;
    }
    String::from_utf8(bytes).ok()
}

async fn file(State(served): Shared, Query(wanted): Query<Wanted>, request: Request) -> Response {
    let path = request.uri().path();
    if decode(path).as_deref() == Some(served.site.module()) {
        return module(&served, wanted.v.as_deref()).await;
    }
    let Some(found) = served.find(path) else {
        return match path {
            "/" => (StatusCode::FOUND, [(header::LOCATION, "/__wasmend/")]).into_response(),
            _ => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
        };
    };
    match tokio::fs::read(&found).await {
        Ok(bytes) => with_type(media_type(&found), bytes),
        Err(error) => {
            let text = format!("cannot be read: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    /// The version of the module.
    v: Option<String>,
}

async fn module(served: &Arc<Served>, version: Option<&str>) -> Response {
    if version.is_some_and(|version| served.site.current().as_deref() != Some(version)) {
        return (StatusCode::GONE, "the module has another version now\n").into_response();
    }
    let reader = served.clone();
    match tokio::task::spawn_blocking(move || reader.module()).await {
        Ok(Ok(bytes)) => with_type("application/wasm", bytes),
        Ok(Err(error)) => {
            let text = format!("there is no module yet: {error}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn with_type(media_type: &'static str, bytes: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, media_type)], bytes.into()).into_response()
}

async fn delta(
    State(served): Shared,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Response {
    one_delta(&served, &name, false)
}

async fn undo(
    State(served): Shared,
    axum::extract::Path(name): axum::extract::Path<String>,
) -> Response {
    one_delta(&served, &name, true)
}

fn one_delta(served: &Served, name: &str, takes_back: bool) -> Response {
    let version = name.strip_suffix(".wasm");
    match version.and_then(|version| served.site.delta(version, takes_back)) {
        Some(bytes) => with_type("application/wasm", bytes.to_vec()),
        None => (StatusCode::GONE, "this change is not kept any more\n").into_response(),
    }
}

/// Writes the text that a page has edited, as editors do: all of it or nothing.
async fn save(State(served): Shared, text: Bytes) -> Response {
    let Some(source) = served.source.clone() else {
        return (StatusCode::NOT_FOUND, "nothing can be edited here\n").into_response();
    };
    if text.len() > MOST_TEXT {
        return (StatusCode::PAYLOAD_TOO_LARGE, "this is too long\n").into_response();
    }
    let saved = tokio::task::spawn_blocking(move || {
        let folder = source.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&text)?;
        file.persist(&source).map(drop).map_err(|error| error.error)
    });
    match saved.await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => {
            let text = format!("cannot be written: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Deserialize)]
struct Since {
    /// The version that the page has.
    from: Option<String>,
}

async fn events(State(served): Shared, Query(since): Query<Since>) -> Response {
    let stream = stream(served.site.clone(), since.from);
    let sse = Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)));
    sse.into_response()
}

/// What a page hears, for as long as it listens. Nothing is kept for it: what it has not heard is asked of the site.
fn stream(site: Arc<Site>, from: Option<String>) -> impl Stream<Item = Result<Sent, Infallible>> {
    let news = site.news();
    let (events, heard) = site.catch_up(from.as_deref());
    let start = (site, news, VecDeque::from(events), heard);
    futures_util::stream::unfold(
        start,
        |(site, mut news, mut events, mut heard)| async move {
            loop {
                while let Some(event) = events.pop_front() {
                    if let Ok(sent) = Sent::default().json_data(&event) {
                        return Some((Ok(sent), (site, news, events, heard)));
                    }
                }
                news.changed().await.ok()?;
                let (new, now) = site.since(heard);
                events.extend(new);
                heard = now;
            }
        },
    )
}

/// What the status page shows.
async fn status(State(served): Shared) -> Response {
    let (versions, problem, is_building) = served.site.status();
    let reader = served.clone();
    let layout = tokio::task::spawn_blocking(move || {
        let bytes = reader.module().ok()?;
        let map = Map::read(&bytes).ok()?;
        let version = map.identity.as_ref().map(|file| file.identity.hex());
        let parts = map.parts.iter().map(|part| {
            serde_json::json!({
                "is_pad": part.kind == PartKind::Pad, "name": part.name, "offset": part.offset, "len": part.len,
                "used": part.used, "slack": part.slack,
            })
        });
        let parts: Vec<_> = parts.collect();
        Some(serde_json::json!({ "version": version, "bytes": map.file_len, "parts": parts }))
    });
    let versions: Vec<_> = versions.into_iter().rev().take(500).collect();
    axum::Json(serde_json::json!({
        "module": served.site.module(), "versions": versions, "problem": problem, "building": is_building,
        "layout": layout.await.ok().flatten(),
    }))
    .into_response()
}

async fn page() -> Response {
    with_type("text/html; charset=utf-8", include_str!("status.html"))
}

/// The client, for pages that come without a bundler.
async fn client(axum::extract::Path(name): axum::extract::Path<String>) -> Response {
    let text = match name.as_str() {
        "index.js" => include_str!("../../../npm/wasmend/index.js"),
        "delta.js" => include_str!("../../../npm/wasmend/delta.js"),
        "stream.js" => include_str!("../../../npm/wasmend/stream.js"),
        "worker.js" => include_str!("../../../npm/wasmend/worker.js"),
        "overlay.js" => include_str!("../../../npm/wasmend/overlay.js"),
        _ => return (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    };
    with_type("text/javascript; charset=utf-8", text)
}

/// What a file is, by the ending of its name.
fn media_type(path: &Path) -> &'static str {
    let ending = path
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default();
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "txt" | "md" | "c" | "h" | "rs" | "zig" | "ts" => "text/plain; charset=utf-8",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}
