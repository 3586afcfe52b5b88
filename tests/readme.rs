//! What the README says is so: its commands run, and its gateway is the example.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

const CGIGATE: &str = env!("CARGO_BIN_EXE_cgigate");

fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let block = |rest: &str| rest.split("\n```").next().unwrap().to_owned() + "\n";
    readme().split(&fence).skip(1).map(block).collect()
}

/// A server until the test ends, however it ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_first_command_serves_pages_at_the_address_it_prints() {
    let command = &blocks("sh")[0];
    let words = command.trim().strip_prefix("cargo run --release -- ").expect("the first command");
    let mut server = Command::new(CGIGATE);
    server.args(words.split(' ')).args(["--listen", "127.0.0.1:0"]);
    let mut served = Served(server.stderr(Stdio::piped()).spawn().unwrap());
    let mut said = BufReader::new(served.0.stderr.take().unwrap()).lines();
    let is_address = |line: &str| line.split_once("http://").map(|(_, url)| url.to_owned());
    let url = said.find_map(|line| is_address(&line.unwrap())).expect("an address to open");
    let mut stream = TcpStream::connect(url.trim_end_matches('/')).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn the_second_command_is_there_and_so_is_what_the_others_name() {
    let blocks = blocks("sh");
    assert_eq!(blocks[1].trim(), "scripts/test", "the README's test command");
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/", "scripts/test");
    assert!(fs::metadata(scripts).unwrap().is_file());
    // What is for root, and a crate of one's own, is run as it stands by `scripts/test-readme`.
    let others = fs::read_to_string(scripts.to_owned() + "-readme").unwrap();
    for (block, asked_for_by) in
        [(2, "cgi-bin/"), (3, "config nginx"), (4, "cargo new site"), (0, "cargo run --release")]
    {
        assert!(blocks[block].contains(asked_for_by) && others.contains(asked_for_by));
    }
}

#[test]
fn what_it_counts_is_so_many() {
    let fixtures = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/cgi")).unwrap();
    let names = fixtures.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.collect();
    let servers = ["apache-", "busybox-", "lighttpd-", "nginx-", "python-"];
    let real = names.iter().filter(|name| servers.iter().any(|server| name.starts_with(server)));
    let said = format!("holds {} requests, {} of them", names.len(), real.count());
    assert!(readme().contains(&said), "it should say: {said}");
}

#[test]
fn every_option_and_server_that_it_names_is_known() {
    let commands = ["cgi", "fastcgi", "get", "config", "check", "conform"];
    let ask = |words: &[&str]| {
        let done = Command::new(CGIGATE).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let help: String = commands.map(|command| ask(&[command, "--help"])).concat();
    let (readme, mut options) = (readme(), 0);
    // Those of cargo, of scripts and of curl's command lines stand in blocks of their own.
    let prose = readme.split("\n```").step_by(2).collect::<String>();
    for code in prose.split('`').skip(1).step_by(2).filter(|code| !code.starts_with("cargo")) {
        for word in code.split_whitespace().filter(|word| word.starts_with("--")) {
            let known = word == "--help" || help.contains(&format!("  {word}"));
            assert!(known, "{code}: {word}");
            options += 1;
        }
    }
    assert!(options >= 10, "{options}");
    let servers = prose.split("`config` knows ").nth(1).unwrap().split(" too").next().unwrap();
    let servers = servers.split([',', ' ', '\n']).filter(|word| !["", "and"].contains(word));
    let mut asked = 0;
    for server in servers {
        assert!(ask(&["config", server]).len() > 100, "{server}");
        asked += 1;
    }
    assert!(asked >= 7, "{asked}");
}

#[test]
fn what_it_asks_a_responder_is_asked_in_the_right_words() {
    let block = blocks("sh").into_iter().find(|block| block.contains("cgigate get ")).unwrap();
    let mut asked = 0;
    for line in block.lines() {
        // The addresses and files are examples: all but the usage may fail.
        let script = format!("cgigate() {{ \"$CGIGATE_HERE\" \"$@\"; }}\n{line}");
        let mut shell = Command::new("sh");
        shell.env("CGIGATE_HERE", CGIGATE).current_dir(env!("CARGO_MANIFEST_DIR"));
        let done = shell.args(["-c", &script]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(matches!(done.status.code(), Some(0 | 1)), "{line}: {said}");
        asked += 1;
    }
    assert!(asked >= 5, "{asked} lines");
}

#[test]
fn the_smallest_gateway_is_the_example() {
    let example = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/hello.rs"));
    let block = &blocks("rust")[0];
    assert!(example.unwrap().ends_with(block), "{block}");
}

#[test]
fn every_command_of_the_table_answers() {
    let readme = readme();
    let table = readme.lines().filter_map(|line| line.strip_prefix("| `"));
    let names = table.flat_map(|row| {
        let cell = row.split(" |").next().unwrap_or_default().replace('`', "");
        cell.split(", ").map(str::to_owned).collect::<Vec<_>>()
    });
    let mut asked = 0;
    for name in names {
        let done = Command::new(CGIGATE).args([&*name, "--help"]).output().unwrap();
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        asked += 1;
    }
    assert!(asked >= 4, "{asked} commands in the table");
    let desk = Command::new(CGIGATE).args(["cgi", "/demo?a=1"]).output().unwrap();
    let page = String::from_utf8_lossy(&desk.stdout);
    assert!(page.contains("Hello world!\n\n") && page.contains("QUERY_STRING = 'a=1'\n"), "{page}");
}
