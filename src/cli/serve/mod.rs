//! `wasmend serve`: watches a build or a link, and serves pages in which the module is brought up to date while it runs.
//!
//! The watching is that of `watch`; what it publishes is told to the `site`, which the server (`http`) answers from. A command
//! that makes the builds is run by `run`.

mod demo;
mod http;
mod run;
mod site;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wasmend::{Error, ErrorKind, Patch};

use crate::cli::args::{BuildOptions, Serve, ServeLink, Serving, Watch};
use crate::cli::report::{Event, Reporter, path};
use crate::cli::signals::Scratch;
use crate::cli::watch::{self, Listener};
use http::Served;
use site::Site;

/// Serves a build of a module, or the demo.
pub(crate) fn run(args: &Serve, reporter: Reporter) -> anyhow::Result<()> {
    let Some(file) = &args.file else {
        return demo::run(&args.serving, args.waiting, reporter);
    };
    let scratch = match args.output {
        Some(_) => None,
        None => Some(Scratch::new()?),
    };
    let name = file.file_name().unwrap_or_default();
    let output = match (&args.output, &scratch) {
        (Some(output), _) => output.clone(),
        (None, Some(scratch)) => scratch.path().join(name),
        (None, None) => file.clone(),
    };
    // Pages ask for the build by its own name, if the output has none that is theirs.
    let named = args.output.as_ref().unwrap_or(file);
    let server = Server::start(&args.serving, named, &output, None, reporter)?;
    let watched = Watch {
        file: file.clone(),
        output,
        force: args.force,
        waiting: args.waiting,
        build: BuildOptions {
            live: true,
            ..args.build.clone()
        },
    };
    watch::run(&watched, &mut &*server.site, reporter)
}

/// Serves a link, by a linker's arguments.
pub(crate) fn run_link(
    args: &ServeLink,
    arguments: &[String],
    reporter: Reporter,
) -> anyhow::Result<()> {
    let output = watch::output_of_link(arguments)?;
    let server = Server::start(&args.serving, &output, &output, None, reporter)?;
    let arguments = [&["--live".to_owned()], arguments].concat();
    watch::run_link(&args.watch, &arguments, &mut &*server.site, reporter)
}

impl Listener for &Site {
    fn published(&mut self, patch: &Patch) {
        self.publish(patch);
    }

    fn failed(&mut self, error: &Error) {
        self.fail(error.to_string());
    }
}

/// A server that runs until this is dropped.
struct Server {
    site: Arc<Site>,
    _runtime: tokio::runtime::Runtime,
    _command: Option<run::Running>,
}

impl Server {
    /// Serves `output` under the name of `named`. A page may write to `source`, if there is one.
    fn start(
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
