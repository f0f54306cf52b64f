//! Hears what `wasmend serve` publishes, for programs that run elsewhere than in a page. It knows the server's addresses and
//! events, and nothing of engines.

use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use ureq::{Agent, Body};

use crate::delta::Delta;
use crate::error::{Error, ErrorKind, Result};
use crate::patch::BuildIdentity;

/// The longest line of an event that is read, and the most bytes of a module.
const MOST_LINE: u64 = 64 << 20;
const MOST_BYTES: u64 = 4 << 30;

/// A `wasmend serve` that runs, here or elsewhere.
///
/// ```no_run
/// use wasmend::live::{Live, LiveOptions, News, Server, WasmiRuntime};
///
/// # fn main() -> wasmend::Result<()> {
/// # let engine = wasmi::Engine::default();
/// # let runtime = WasmiRuntime::new(wasmi::Store::new(&engine, ()), wasmi::Linker::new(&engine));
/// let server = Server::at("http://127.0.0.1:8080")?;
/// let mut live = Live::load(runtime, &server.file()?, LiveOptions::default())?;
/// let mut listener = server.listen(live.identity())?;
/// loop {
///     match listener.next(live.identity())? {
///         News::Delta { delta, .. } => drop(live.apply(&delta)?),
///         News::Refused { message, .. } => {
///             eprintln!("begins anew: {message}");
///             live.restart(&server.file()?)?;
///         }
///         News::Failed { message } => eprintln!("{message}"),
///         News::Building | News::Current => {}
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    agent: Agent,
    url: String,
    /// The path of the module.
    module: String,
}

/// What a server has to say.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum News {
    /// There is nothing newer than what the listener has, and nothing is wrong.
    Current,
    /// A new version, and what brings an instance to it.
    Delta {
        /// What brings an instance to it.
        delta: Arc<Delta>,
        /// Where what takes it back can be had, if that can be: for [`Server::delta`].
        undo: Option<String>,
    },
    /// There is a version that instances of the listener's cannot be brought to: it is for [`Server::file`] to begin anew with.
    Refused {
        /// The number of the reason, such as `L02`; `gone` if so many versions have been published that the changes are not
        /// kept any more, and `created` if the output was written as another one.
        code: String,
        /// All that is in the way, a line each.
        message: String,
        /// What it is about first.
        symbol: Option<String>,
    },
    /// A new build is being made.
    Building,
    /// There is no new version, because of this.
    Failed {
        /// What the server's terminal says.
        message: String,
    },
}

/// Hears a server's news, from one version on.
pub struct Listener {
    server: Server,
    events: BufReader<Box<dyn Read + Send + Sync>>,
}

/// An event as it is sent.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Event {
    Current {
        version: String,
        module: String,
    },
    Delta {
        url: String,
        undo: Option<String>,
        data: Option<String>,
    },
    Refused {
        to: String,
        generation: u64,
        code: String,
        message: String,
        symbol: Option<String>,
    },
    Gone {},
    Building,
    Error {
        message: String,
    },
    #[serde(other)]
    Other,
}

impl Server {
    /// The server at an address such as `http://127.0.0.1:8080`. Waits until it has published a first version.
    ///
    /// # Errors
    /// If nobody answers there, or not as `wasmend serve` does.
    pub fn at(url: &str) -> Result<Server> {
        let config = Agent::config_builder().http_status_as_error(false).build();
        let mut server = Server {
            agent: config.into(),
            url: url.trim_end_matches('/').to_owned(),
            module: String::new(),
        };
        let mut events = server.events("")?;
        loop {
            if let Event::Current { module, .. } = server.read_event(&mut events)? {
                server.module = module;
                return Ok(server);
            }
        }
    }

    /// The module, of the newest version.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn file(&self) -> Result<Vec<u8>> {
        self.bytes(&self.module)
    }

    /// A delta by its address on the server.
    ///
    /// # Errors
    /// If the server does not answer, or does not keep it any more.
    pub fn delta(&self, path: &str) -> Result<Delta> {
        Delta::read(&self.bytes(path)?)
    }

    /// Listens to what follows a version.
    ///
    /// # Errors
    /// If the server does not answer.
    pub fn listen(&self, from: BuildIdentity) -> Result<Listener> {
        let query = format!("?from={}", from.hex());
        Ok(Listener {
            server: self.clone(),
            events: self.events(&query)?,
        })
    }

    fn events(&self, query: &str) -> Result<BufReader<Box<dyn Read + Send + Sync>>> {
        let body = self.get(&format!("/__wasmend/events{query}"))?;
        Ok(BufReader::new(Box::new(body.into_reader())))
    }

    fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        let body = self.get(path)?;
        let mut bytes = Vec::new();
        let read = body.into_reader().take(MOST_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(path, &error.to_string()))?;
        Ok(bytes)
    }

    fn get(&self, path: &str) -> Result<Body> {
        let url = format!("{}{path}", self.url);
        let answer = self.agent.get(&url).call();
        let answer = answer.map_err(|error| self.failed(path, &error.to_string()))?;
        let status = answer.status();
        match status.is_success() {
            true => Ok(answer.into_body()),
            false => Err(self.failed(path, &format!("the server answers with {status}"))),
        }
    }

    fn failed(&self, path: &str, reason: &str) -> Error {
        let error = Error::new(ErrorKind::Io, reason.to_owned());
        error
            .with_path(format!("{}{path}", self.url))
            .with_hint("`wasmend serve` must be running there")
    }

    /// The next event of a stream, whatever it is.
    fn read_event(&self, events: &mut impl BufRead) -> Result<Event> {
        loop {
            let mut line = Vec::new();
            let read = events.by_ref().take(MOST_LINE).read_until(b'\n', &mut line);
            let read = read.map_err(|error| error.to_string());
            match read {
                Ok(0) => return Err(self.failed("/__wasmend/events", "the server has ended")),
                Ok(_) => {}
                Err(reason) => return Err(self.failed("/__wasmend/events", &reason)),
            }
            let Some(data) = line.strip_prefix(b"data:") else {
                // Nothing but a sign of life, or what the event is called.
                continue;
            };
            return serde_json::from_slice(data).map_err(|error| {
                let text = format!("says what is no event: {error}");
                self.failed("/__wasmend/events", &text)
            });
        }
    }
}

impl Listener {
    /// Waits for what is new to somebody who has this version. What has been overtaken by it is left out.
    ///
    /// # Errors
    /// If the server has ended, or says what makes no sense. Listen anew then, from the version that there is.
    pub fn next(&mut self, has: BuildIdentity) -> Result<News> {
        loop {
            match self.server.read_event(&mut self.events)? {
                Event::Current { version, .. } if version == has.hex() => {
                    return Ok(News::Current);
                }
                Event::Current { .. } | Event::Gone {} => {
                    return Ok(News::Refused {
                        code: "gone".to_owned(),
                        message: "the changes since this version are not kept any more".to_owned(),
                        symbol: None,
                    });
                }
                Event::Delta { url, undo, data } => {
                    let delta = match data {
                        Some(data) => {
                            let bytes = BASE64_STANDARD.decode(data);
                            let bytes = bytes.map_err(|_| {
                                self.server.failed(&url, "a delta was damaged on its way")
                            })?;
                            Delta::read(&bytes)?
                        }
                        None => self.server.delta(&url)?,
                    };
                    if delta.to.generation > has.generation {
                        let delta = Arc::new(delta);
                        return Ok(News::Delta { delta, undo });
                    }
                }
                Event::Refused { to, generation, .. }
                    if to == has.hex() || generation < has.generation => {}
                Event::Refused {
                    code,
                    message,
                    symbol,
                    ..
                } => {
                    return Ok(News::Refused {
                        code,
                        message,
                        symbol,
                    });
                }
                Event::Building => return Ok(News::Building),
                Event::Error { message } => return Ok(News::Failed { message }),
                Event::Other => {}
            }
        }
    }
}
