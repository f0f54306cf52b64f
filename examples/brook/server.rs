//! The language server: each edit is compiled, patched into the output, and taken in by the program that runs. Values are
//! inlay hints, mistakes diagnostics. Whatever a client sends, it goes on until it is told to exit.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use lsp_server::{ErrorCode, Message, Notification, Request, RequestId, Response};
use lsp_types::notification::{
    DidChangeTextDocument, DidCloseTextDocument, DidOpenTextDocument, Exit, LogMessage,
    Notification as _, PublishDiagnostics,
};
use lsp_types::request::{
    CodeLensRequest, ExecuteCommand, HoverRequest, Initialize, InlayHintRefreshRequest,
    InlayHintRequest, Request as _, Shutdown,
};
use lsp_types::{
    CodeLens, CodeLensOptions, CodeLensParams, Command, Diagnostic, DiagnosticSeverity,
    DidChangeTextDocumentParams, DidCloseTextDocumentParams, DidOpenTextDocumentParams,
    ExecuteCommandOptions, ExecuteCommandParams, Hover, HoverContents, HoverParams,
    HoverProviderCapability, InitializeParams, InitializeResult, InlayHint, InlayHintLabel,
    InlayHintParams, LogMessageParams, MarkupContent, MarkupKind, MessageType, OneOf,
    PublishDiagnosticsParams, ServerCapabilities, ServerInfo, TextDocumentSyncCapability,
    TextDocumentSyncKind, Uri,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use wasmend::LiveStep;

use crate::document::Document;
use crate::session::Step;

/// The command that runs a function: `[uri, name]`.
const RUN: &str = "brook.run";

/// A notification of what each edit did, for clients that ask for it in their options: `{"status": true}`.
const STATUS: &str = "brook/status";

/// The longest line of a head, and the longest message.
const MOST_HEAD: u64 = 4096;
const MOST_BODY: u64 = 64 << 20;

enum Incoming {
    Message(Message),
    /// What is no message.
    Broken(String),
}

/// Serves a client on standard input and output. Returns whether it has said goodbye before it went.
pub fn serve() -> io::Result<bool> {
    let (sender, incoming) = channel();
    thread::spawn(move || {
        let mut input = BufReader::new(io::stdin());
        while let Ok(Some(body)) = read_body(&mut input) {
            let message = body.and_then(|body| {
                serde_json::from_slice(&body).map_err(|error| format!("is no message: {error}"))
            });
            let read = message.map_or_else(Incoming::Broken, Incoming::Message);
            if sender.send(read).is_err() {
                return;
            }
        }
    });
    let mut server = Server {
        documents: HashMap::new(),
        output: io::stdout(),
        is_initialized: false,
        is_shut_down: false,
        wants_status: false,
        can_refresh: false,
        requests: 0,
    };
    server.run(&incoming)?;
    Ok(server.is_shut_down)
}

/// What stands between two heads, or why that is not read; nothing at the end. `lsp_server` reads these too, but gives up at
/// what is no message, and takes memory for whatever length it is told.
fn read_body(input: &mut impl BufRead) -> io::Result<Option<Result<Vec<u8>, String>>> {
    let mut len = None;
    loop {
        let mut line = Vec::new();
        if input.take(MOST_HEAD).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        match line.trim() {
            "" if len.is_some() => break,
            line => {
                let field = line.split_once(':');
                let given = field.filter(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
                len = given.map_or(len, |(_, len)| len.trim().parse::<u64>().ok());
            }
        }
    }
    let len = len.unwrap_or_default();
    let mut body = input.take(len);
    if len > MOST_BODY {
        io::copy(&mut body, &mut io::sink())?;
        return Ok(Some(Err(format!(
            "a message has at most {MOST_BODY} bytes"
        ))));
    }
    let mut bytes = Vec::new();
    body.read_to_end(&mut bytes)?;
    Ok(Some(Ok(bytes)))
}

struct Server {
    documents: HashMap<String, Document>,
    output: io::Stdout,
    is_initialized: bool,
    is_shut_down: bool,
    wants_status: bool,
    can_refresh: bool,
    /// How many requests were sent to the client.
    requests: i32,
}

impl Server {
    fn run(&mut self, incoming: &Receiver<Incoming>) -> io::Result<()> {
        loop {
            // Edits that wait are taken together: only the last text counts.
            let next = match incoming.try_recv() {
                Err(TryRecvError::Empty) => {
                    self.update()?;
                    incoming.recv().ok()
                }
                other => other.ok(),
            };
            match next {
                None => return Ok(()),
                Some(Incoming::Broken(why)) => {
                    let code = ErrorCode::ParseError as i32;
                    let message = json!({
                        "id": null,
                        "error": { "code": code, "message": why.chars().take(200).collect::<String>() },
                        "jsonrpc": "2.0",
                    });
                    self.write(&message.to_string())?;
                }
                Some(Incoming::Message(Message::Request(request))) => self.request(request)?,
                Some(Incoming::Message(Message::Response(_))) => {}
                Some(Incoming::Message(Message::Notification(notification))) => {
                    if notification.method == Exit::METHOD {
                        return Ok(());
                    }
                    self.notification(notification);
                }
            }
        }
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        write!(self.output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        self.output.flush()
    }

    fn send(&mut self, message: impl Into<Message>) -> io::Result<()> {
        message.into().write(&mut self.output)
    }

    fn notify<N: lsp_types::notification::Notification>(
        &mut self,
        params: N::Params,
    ) -> io::Result<()> {
        self.send(Notification::new(N::METHOD.to_owned(), params))
    }

    /// Brings everything up to date with edits that have come in, and tells the client.
    fn update(&mut self) -> io::Result<()> {
        let mut documents = std::mem::take(&mut self.documents);
        for (uri, document) in &mut documents {
            if !document.is_stale() {
                continue;
            }
            let step = document.update();
            if let Some(step) = &step {
                self.tell_of(step)?;
            }
            self.publish(uri, document.version, diagnostics(document))?;
            if self.wants_status {
                let status = status(document, step.as_ref());
                self.send(Notification::new(STATUS.to_owned(), status))?;
            }
        }
        self.documents = documents;
        Ok(())
    }

    fn publish(&mut self, uri: &str, version: i32, diagnostics: Vec<Diagnostic>) -> io::Result<()> {
        let Ok(uri) = uri.parse::<Uri>() else {
            return Ok(());
        };
        let params = PublishDiagnosticsParams::new(uri, diagnostics, Some(version));
        self.notify::<PublishDiagnostics>(params)
    }

    fn tell_of(&mut self, step: &Step) -> io::Result<()> {
        let Some(why) = &step.anew else {
            return Ok(());
        };
        self.notify::<LogMessage>(LogMessageParams {
            typ: MessageType::INFO,
            message: format!("the program has begun anew: {why}"),
        })
    }

    fn notification(&mut self, notification: Notification) {
        let Notification { method, params } = notification;
        match &*method {
            DidOpenTextDocument::METHOD => {
                if let Ok(params) = read::<DidOpenTextDocumentParams>(params) {
                    let opened = params.text_document;
                    if let Ok(document) = Document::open(opened.text, opened.version) {
                        self.documents.insert(opened.uri.to_string(), document);
                    }
                }
            }
            DidChangeTextDocument::METHOD => {
                if let Ok(params) = read::<DidChangeTextDocumentParams>(params)
                    && let Some(document) =
                        self.documents.get_mut(params.text_document.uri.as_str())
                {
                    for change in params.content_changes {
                        document.edit(change.range, &change.text);
                    }
                    document.version = params.text_document.version;
                }
            }
            DidCloseTextDocument::METHOD => {
                if let Ok(params) = read::<DidCloseTextDocumentParams>(params) {
                    self.documents.remove(params.text_document.uri.as_str());
                }
            }
            // Of nothing else there is anything to be done.
            _ => {}
        }
    }

    fn request(&mut self, request: Request) -> io::Result<()> {
        let Request { id, method, params } = request;
        // What is asked is asked of the text as it is now.
        self.update()?;
        if !self.is_initialized && method != Initialize::METHOD {
            let text = "the first request must be `initialize`".to_owned();
            let code = ErrorCode::ServerNotInitialized as i32;
            return self.send(Response::new_err(id, code, text));
        }
        match &*method {
            Initialize::METHOD => self.answer(id, params, Server::initialize),
            InlayHintRequest::METHOD => {
                self.answer(id, params, |server, params: InlayHintParams| {
                    let document = server.document(&params.text_document.uri);
                    document.map(|document| hints(document, &params))
                })
            }
            HoverRequest::METHOD => self.answer(id, params, |server, params: HoverParams| {
                let at = params.text_document_position_params;
                let document = server.document(&at.text_document.uri)?;
                let (range, text) = document.hover(at.position)?;
                let contents = HoverContents::Markup(MarkupContent {
                    kind: MarkupKind::Markdown,
                    value: format!("```brook\n{text}\n```"),
                });
                Some(Hover {
                    contents,
                    range: Some(range),
                })
            }),
            CodeLensRequest::METHOD => self.answer(id, params, |server, params: CodeLensParams| {
                let uri = params.text_document.uri;
                let document = server.document(&uri)?;
                Some(lenses(document, &uri))
            }),
            ExecuteCommand::METHOD => self.execute(id, params),
            Shutdown::METHOD => {
                self.is_shut_down = true;
                self.send(Response::new_ok(id, ()))
            }
            _ => {
                let text = format!("there is no `{method}` here");
                self.send(Response::new_err(
                    id,
                    ErrorCode::MethodNotFound as i32,
                    text,
                ))
            }
        }
    }

    /// Answers a request, if it says what it should.
    fn answer<P: DeserializeOwned, R: Serialize>(
        &mut self,
        id: RequestId,
        params: Json,
        with: impl FnOnce(&mut Server, P) -> R,
    ) -> io::Result<()> {
        let response = match read(params) {
            Ok(params) => Response::new_ok(id, with(self, params)),
            Err(error) => Response::new_err(id, ErrorCode::InvalidParams as i32, error),
        };
        self.send(response)
    }

    fn document(&self, uri: &Uri) -> Option<&Document> {
        self.documents.get(uri.as_str())
    }

    fn initialize(&mut self, params: InitializeParams) -> InitializeResult {
        self.is_initialized = true;
        let options = params.initialization_options.unwrap_or_default();
        self.wants_status = options["status"] == json!(true);
        let hints = params.capabilities.workspace.and_then(|it| it.inlay_hint);
        self.can_refresh = hints.and_then(|it| it.refresh_support) == Some(true);
        InitializeResult {
            capabilities: ServerCapabilities {
                text_document_sync: Some(TextDocumentSyncCapability::Kind(
                    TextDocumentSyncKind::INCREMENTAL,
                )),
                inlay_hint_provider: Some(OneOf::Left(true)),
                hover_provider: Some(HoverProviderCapability::Simple(true)),
                code_lens_provider: Some(CodeLensOptions {
                    resolve_provider: Some(false),
                }),
                execute_command_provider: Some(ExecuteCommandOptions {
                    commands: vec![RUN.to_owned()],
                    ..ExecuteCommandOptions::default()
                }),
                ..ServerCapabilities::default()
            },
            server_info: Some(ServerInfo {
                name: "brook".to_owned(),
                version: None,
            }),
        }
    }

    /// Runs a function, and shows what has become of the values.
    fn execute(&mut self, id: RequestId, params: Json) -> io::Result<()> {
        let params = read::<ExecuteCommandParams>(params);
        let value = params.and_then(|params| {
            let [Json::String(uri), Json::String(name)] = &params.arguments[..] else {
                return Err(format!("`{RUN}` takes a document and a function"));
            };
            let document = self.documents.get_mut(uri);
            let document = document.ok_or("this document is not open")?;
            document.session.run(name)
        });
        match value {
            Ok(value) => self.send(Response::new_ok(id, value.to_string()))?,
            Err(why) => {
                let code = ErrorCode::RequestFailed as i32;
                self.send(Response::new_err(id, code, why))?;
            }
        }
        if self.can_refresh {
            self.requests += 1;
            let method = InlayHintRefreshRequest::METHOD.to_owned();
            self.send(Request::new(self.requests.into(), method, Json::Null))?;
        }
        Ok(())
    }
}

fn read<P: DeserializeOwned>(params: Json) -> Result<P, String> {
    serde_json::from_value(params).map_err(|error| error.to_string())
}

/// What is wrong with the text, and what stops in the program.
fn diagnostics(document: &Document) -> Vec<Diagnostic> {
    let mistakes = document.mistakes().map(|(range, message)| Diagnostic {
        severity: Some(DiagnosticSeverity::ERROR),
        source: Some("brook".to_owned()),
        ..Diagnostic::new_simple(range, message)
    });
    let stops = document.stops().map(|(range, message)| Diagnostic {
        severity: Some(DiagnosticSeverity::WARNING),
        source: Some("brook".to_owned()),
        ..Diagnostic::new_simple(range, message)
    });
    mistakes.chain(stops).collect()
}

fn hints(document: &Document, params: &InlayHintParams) -> Vec<InlayHint> {
    let asked = params.range.start..=params.range.end;
    let hints = document.hints().into_iter();
    let hints = hints.filter(|(position, ..)| asked.contains(position));
    hints
        .map(|(position, label)| InlayHint {
            position,
            label: InlayHintLabel::String(label),
            kind: None,
            text_edits: None,
            tooltip: None,
            padding_left: Some(true),
            padding_right: None,
            data: None,
        })
        .collect()
}

fn lenses(document: &Document, uri: &Uri) -> Vec<CodeLens> {
    let functions = document.functions();
    functions
        .map(|(range, name)| CodeLens {
            range,
            command: Some(Command {
                title: "run".to_owned(),
                command: RUN.to_owned(),
                arguments: Some(vec![json!(uri.as_str()), json!(name)]),
            }),
            data: None,
        })
        .collect()
}

/// What an edit did, in figures.
fn status(document: &Document, step: Option<&Step>) -> Json {
    let Some(step) = step else {
        return json!({ "version": document.version, "mistakes": document.session.mistakes.len() });
    };
    let delta = match &step.patch.live {
        Some(LiveStep::Delta { delta, .. }) => delta.bytes.len(),
        _ => 0,
    };
    let took = step.reloaded.as_ref().map(|it| format!("{:?}", it.took));
    json!({
        "version": document.version,
        "mistakes": 0,
        "bytes": step.patch.bytes_written(),
        "file": step.patch.file_len,
        "relinked": step.patch.relink_reason().map(|reason| reason.to_string()),
        "delta": delta,
        "took": took,
        "micros": step.time.as_micros() as u64,
    })
}
