//! What single edits write, as text: for each way of redirecting calls.

use std::fmt::Write;

use wasmend::Redirect;

/// What `list` makes of a program for each way of redirecting calls.
pub fn by_redirect(redirects: &[Redirect], list: impl Fn(Redirect) -> String) -> String {
    let mut out = String::new();
    for redirect in redirects {
        let word = match redirect {
            Redirect::Table => "table",
            Redirect::TableThunks => "thunks",
            Redirect::Direct => "direct",
        };
        let _ = writeln!(out, "{word}: {}", list(*redirect));
    }
    out
}
