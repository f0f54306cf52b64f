//! The server of a site: bound to its address, it answers until it is dropped. What is published by whoever watches is told to
//! the `site`.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmend::{Error, ErrorKind, Patch};

use crate::cli::args::Serving;
use crate::cli::report::{Event, Reporter, path};
use crate::cli::serve::http::{self, Served};
use crate::cli::serve::run;
use crate::cli::serve::site::Site;
use crate::cli::watch::Listener;

impl Listener for &Site {
    fn published(&mut self, patch: &Patch) {
        self.publish(patch);
    }

    fn failed(&mut self, error: &Error) {
        self.fail(error.to_string());
    }
}

/// A server that runs until this is dropped.
pub(super) struct Server {
    pub(super) site: Arc<Site>,
    _runtime: tokio::runtime::Runtime,
    _command: Option<run::Running>,
}

impl Server {
    /// Serves `output` under the name of `named`. A page may write to `source`, if there is one.
    pub(super) fn start(
        serving: &Serving,
        named: &Path,
        output: &Path,
        source: Option<&Path>,
        reporter: Reporter,
    ) -> anyhow::Result<Server> {
        let root = serving.root.as_deref().unwrap_or(Path::new("."));
        let root = root
            .canonicalize()
            .map_err(|error| Error::io("cannot be served", root, &error))?;
        let site = Arc::new(Site::new(url_of(&root, named)));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_io()
            .enable_time()
            .build()?;
        let address = SocketAddr::new(serving.host, serving.port);
        let listening = runtime.block_on(tokio::net::TcpListener::bind(address));
        let listening = listening.map_err(|error| {
            let text = format!("cannot listen at {address}: {error}");
            Error::new(ErrorKind::Io, text).with_hint("--port 0 takes any port that is free")
        })?;
        let address = listening.local_addr()?;
        if !address.ip().is_loopback() {
            reporter.warning("everybody who can reach this machine can read what is served")?;
        }
        let served = Arc::new(Served {
            site: site.clone(),
            root: root.clone(),
            output: output.to_path_buf(),
            source: source.map(Path::to_path_buf),
            hosts: serving
                .allow_host
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            isolated: serving.isolated,
        });
        runtime.spawn(async move {
            // It ends with the process.
            let _ = axum::serve(listening, http::router(served)).await;
        });
        let url = format!("http://{}/", authority(address));
        reporter.both(
            &Event::Serving {
                url: url.clone(),
                root: path(&root),
            },
            || {
                format!(
                    "serving {} at {url}, the module at {}",
                    root.display(),
                    site.module()
                )
            },
        )?;
        let command = serving.run.as_ref().map(|command| {
            let sources = match serving.sources.is_empty() {
                true => vec![root.clone()],
                false => serving.sources.clone(),
            };
            run::Running::start(command, sources, output, site.clone(), reporter)
        });
        if serving.open {
            open(&url, reporter);
        }
        Ok(Server {
            site,
            _runtime: runtime,
            _command: command.transpose()?,
        })
    }
}

/// What stands in an address for a socket: browsers know this machine by name.
fn authority(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => {
            format!("localhost:{}", address.port())
        }
        _ => address.to_string(),
    }
}

/// The path under which a file is served: as it stands in the folder, or in the folder's top.
fn url_of(root: &Path, file: &Path) -> String {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let folder = absolute
        .parent()
        .and_then(|folder| folder.canonicalize().ok());
    let name = PathBuf::from(file.file_name().unwrap_or_default());
    let relative = folder.and_then(|folder| Some(folder.strip_prefix(root).ok()?.join(&name)));
    let relative = relative.unwrap_or(name);
    let parts = relative
        .iter()
        .map(|part| part.to_string_lossy().into_owned());
    format!("/{}", parts.collect::<Vec<_>>().join("/"))
}

/// Opens a page in the browser, if there is one.
fn open(url: &str, reporter: Reporter) {
    let started = std::process::Command::new("xdg-open")
        .arg(url)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    if let Err(error) = started {
        reporter.note(&format!(
            "xdg-open cannot be started ({error}): open {url} yourself"
        ));
    }
}
