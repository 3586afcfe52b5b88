//! A guestbook: an axum application with a database, as one would write it for a server of its own.
//!
//!     cargo run --features tower --example axum -- http
//!
//! and open <http://127.0.0.1:8000/>. The same executable in a cgi-bin is a CGI program, a process
//! for each request, and behind nginx it is a FastCGI server: the entries are in one SQLite file
//! (GUESTBOOK names it), which all of the processes write to, each in its turn.

use axum::{
    Extension, Form, Router,
    extract::State,
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use cgigate::{Exception, Gateway, adapter::MetaVariables};
use rusqlite::Connection;
use std::{
    collections::HashMap,
    fmt::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

const PAGE: &str = include_str!("guestbook/page.html");

/// Nothing on the page but its own style, whatever somebody signs with.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'";

/// Entries that are shown.
const SHOWN: u32 = 50;

#[derive(Clone)]
struct Book(Arc<Mutex<Connection>>);

struct Entry {
    name: String,
    text: String,
    signed: String,
}

impl Book {
    fn open(path: &Path) -> Result<Self, Exception> {
        let connection = Connection::open(path)?;
        // Other processes write too: their turn is waited for.
        connection.busy_timeout(Duration::from_secs(10))?;
        // Readers and the one writer do not wait for each other.
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS entry (
                 id INTEGER PRIMARY KEY, name TEXT NOT NULL, text TEXT NOT NULL,
                 signed TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M', 'now')))",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    fn sign(&self, name: &str, text: &str) -> rusqlite::Result<()> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        book.execute("INSERT INTO entry (name, text) VALUES (?1, ?2)", (name, text))?;
        Ok(())
    }

    /// How many there are, and the newest.
    fn read(&self) -> rusqlite::Result<(u32, Vec<Entry>)> {
        let book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = book.query_row("SELECT count(*) FROM entry", (), |row| row.get(0))?;
        let newest = "SELECT name, text, signed FROM entry ORDER BY id DESC LIMIT ?1";
        let mut statement = book.prepare_cached(newest)?;
        let entries = statement.query_map([SHOWN], |row| {
            Ok(Entry { name: row.get(0)?, text: row.get(1)?, signed: row.get(2)? })
        })?;
        Ok((count, entries.collect::<Result<_, _>>()?))
    }
}

fn router(book: Book) -> Router {
    Router::new().route("/", get(show).post(sign)).with_state(book)
}

async fn show(State(book): State<Book>) -> Result<Response, Failure> {
    page(&book, StatusCode::OK, "")
}

async fn sign(
    State(book): State<Book>,
    Extension(meta): Extension<MetaVariables>,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, Failure> {
    let field = |name: &str| form.get(name).map(|value| value.trim()).unwrap_or_default();
    let (name, text) = (field("name"), field("text"));
    if name.is_empty() || text.is_empty() {
        return page(&book, StatusCode::UNPROCESSABLE_ENTITY, "A name and a few words, please.");
    }
    if name.chars().count() > 60 || text.chars().count() > 1000 {
        return page(&book, StatusCode::UNPROCESSABLE_ENTITY, "Less is more: that was too long.");
    }
    book.sign(name, text)?;
    // Whoever loads the page again does not sign again.
    Ok(Redirect::to(&meta.link("/")).into_response())
}

fn page(book: &Book, status: StatusCode, complaint: &str) -> Result<Response, Failure> {
    let (count, entries) = book.read()?;
    let mut list = String::new();
    for Entry { name, text, signed } in &entries {
        let initial = escape(&name.chars().take(1).collect::<String>().to_uppercase());
        // A colour for each name.
        let hue = name.bytes().fold(7_u32, |hue, byte| (hue * 31 + u32::from(byte)) % 360);
        let (name, text) = (escape(name), escape(text));
        // Writing to a string does not fail.
        let _ = writeln!(
            list,
            "<li><span class=\"initial\" style=\"--hue:{hue}\" aria-hidden=\"true\">{initial}</span>\
             <div><h2>{name} <time>{signed}</time></h2><p>{text}</p></div></li>"
        );
    }
    let count = match count {
        0 => "Nobody has signed yet. Be the first!".into(),
        1 => "One entry".into(),
        count => format!("{count} entries"),
    };
    let complaint = match complaint {
        "" => String::new(),
        complaint => format!("<p class=\"complaint\" role=\"alert\">{complaint}</p>"),
    };
    let page = PAGE.replace("{complaint}", &complaint).replace("{count}", &count);
    // Last, for an entry may have the other words in it.
    let page = page.replace("{entries}", &list);
    Ok((status, [(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page)).into_response())
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The client is told that something is wrong, and the log what.
struct Failure(rusqlite::Error);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("guestbook: {}", self.0);
        (StatusCode::INTERNAL_SERVER_ERROR, "The book cannot be opened just now.\n").into_response()
    }
}

fn main() -> std::process::ExitCode {
    let file = || std::env::temp_dir().join("guestbook.sqlite");
    let file = std::env::var_os("GUESTBOOK").map_or_else(file, PathBuf::from);
    let make = move || Ok(cgigate::tower(router(Book::open(&file)?)));
    Gateway::new().make("guestbook", make).about("an axum application with a database").main()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cgigate::{
        Application,
        testing::{Answer, get, post},
    };

    /// A book of its own for each test.
    fn book() -> impl Application {
        cgigate::tower(router(Book::open(Path::new(":memory:")).expect("memory")))
    }

    fn signed(book: &impl Application, form: &str) -> Answer {
        let kind = "application/x-www-form-urlencoded";
        post("/", form).header("Content-Type", kind).var("SCRIPT_NAME", "/my book").ask(book)
    }

    #[test]
    fn who_signs_is_led_back_to_the_page_and_finds_the_entry() {
        let book = book();
        assert!(get("/").ask(&book).text().contains("Nobody has signed yet"));
        let answer = signed(&book, "name=Ann&text=Lovely+weather%2C%0Athere.");
        assert_eq!((answer.status, answer.header("location")), (303, Some("/my%20book/")));
        let page = get("/").validated().ask(&book);
        assert_eq!((page.status, &*page.log), (200, ""));
        assert!(
            page.text().contains("One entry") && page.text().contains("Lovely weather,\nthere.")
        );
    }

    #[test]
    fn what_is_signed_is_text_whatever_it_says() {
        let book = book();
        assert_eq!(signed(&book, "name=%3Ci%3E%26&text=%3Cscript%3E%22{count}").status, 303);
        let page = get("/").ask(&book).text();
        assert!(page.contains("&lt;i&gt;&amp;") && page.contains("&lt;script&gt;&quot;{count}"));
        assert!(!page.contains("<script>") && !page.contains("<i>"));
    }

    #[test]
    fn what_is_no_entry_is_not_signed() {
        let book = book();
        let long = format!("name=Ann&text={}", "x".repeat(1001));
        for form in ["", "name=Ann", "name=+&text=x", &long] {
            let answer = signed(&book, form);
            assert_eq!(answer.status, 422, "{form}");
            assert!(answer.text().contains("role=\"alert\""));
        }
        assert!(get("/").ask(&book).text().contains("Nobody has signed yet"));
        assert_eq!(get("/elsewhere").ask(&book).status, 404);
    }
}
