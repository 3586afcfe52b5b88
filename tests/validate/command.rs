//! `--validate` and `CGIGATE_VALIDATE`: the executable puts the validator around its applications.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, ChildStderr, Command, Stdio},
};

/// Exit status, stdout and stderr of the executable, run with these variables.
fn cgigate(args: &[&str], vars: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
    let output = command.env_clear().envs(vars.iter().copied()).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const WARNING: &str = "cgigate: warning: the server is at fault: Unknown REQUEST_METHOD: 'FOO'\n";
const VIOLATION: &str = "the server is at fault: Environment missing required key: 'SERVER_PORT'\n";

#[test]
fn at_the_desk_warnings_come_on_stderr_and_only_if_asked_for() {
    let asked = ["cgi", "--validate", "-X", "FOO", "/hello"];
    for command in ["cgi", "iis"] {
        let mut asked = asked;
        asked[0] = command;
        let (code, out, err) = cgigate(&asked, &[]);
        assert!(out.starts_with("Status: 200 OK\r\n") && out.ends_with("Hello World\n"), "{out}");
        assert_eq!((code, &*err), (Some(0), WARNING));
    }
    let plain = ["cgi", "-X", "FOO", "/hello"];
    assert_eq!(cgigate(&plain, &[("CGIGATE_VALIDATE", "on")]).2, WARNING);
    assert_eq!(cgigate(&plain, &[("CGIGATE_VALIDATE", "0")]).2, "");
    assert_eq!(cgigate(&plain, &[]).2, "");
    let (code, _, err) = cgigate(&plain, &[("CGIGATE_VALIDATE", "perhaps")]);
    assert!(code == Some(2) && err.contains("\"perhaps\" is neither on nor off"), "{err}");
}

#[test]
fn in_cgi_a_violation_is_a_500_and_a_line() {
    let request = |validate| {
        let vars = [
            ("REQUEST_METHOD", "GET"),
            ("SERVER_NAME", "localhost"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("QUERY_STRING", ""),
            ("PATH_INFO", "/hello"),
            ("CGIGATE_VALIDATE", validate),
        ];
        let (code, out, err) = cgigate(&[], &vars);
        assert_eq!(code, Some(0));
        (out.lines().next().unwrap().to_owned(), err)
    };
    assert_eq!(request("1"), ("Status: 500 Internal Server Error".into(), VIOLATION.into()));
    assert_eq!(request(""), ("Status: 200 OK".into(), String::new()));
    let (status, line) = request("perhaps");
    assert_eq!(status, "Status: 500 Internal Server Error");
    assert!(line.contains("CGIGATE_VALIDATE: \"perhaps\" is neither on nor off"), "{line}");
}

/// A server that is ended with the test.
struct Server(Child, BufReader<ChildStderr>);

impl Server {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cgigate"));
        let command = command.env_clear().args(args).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self(child, stderr)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn over_http_the_server_itself_is_looked_at() {
    let mut server = Server::start(&["http", "--validate", "--listen", "127.0.0.1:0"]);
    let ready = server.line();
    let address = ready.split_whitespace().nth(3).unwrap().trim_end_matches(',').to_owned();
    server.line(); // Which address to open.
    let ask = |method: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(stream, "{method} /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 OK\r\n"), "{answer}");
    };
    ask("GET");
    ask("FOO");
    // It was said before the answer was.
    server.0.kill().unwrap();
    let mut said = String::new();
    server.1.read_to_string(&mut said).unwrap();
    assert_eq!(said.matches("warning").count(), 1, "{said}");
    assert!(said.contains(WARNING), "{said}");
}

#[test]
fn over_fastcgi_a_violation_goes_to_the_web_server() {
    let folder = env::temp_dir().join(format!("cgigate-validate-fcgi-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let socket = folder.join("s");
    let listen = format!("unix:{}", socket.display());
    let mut server = Server::start(&["fastcgi", "--validate", "--listen", &listen]);
    server.line();

    let mut params = Vec::new();
    for (name, value) in [("REQUEST_METHOD", "GET"), ("SERVER_NAME", "a"), ("PATH_INFO", "/hello")]
    {
        params.extend([name.len() as u8, value.len() as u8]);
        params.extend_from_slice(name.as_bytes());
        params.extend_from_slice(value.as_bytes());
    }
    let mut wire = vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    wire.extend([1, 4, 0, 1, 0, params.len() as u8, 0, 0]);
    wire.extend_from_slice(&params);
    wire.extend([1, 4, 0, 1, 0, 0, 0, 0, 1, 5, 0, 1, 0, 0, 0, 0]);
    let mut stream = UnixStream::connect(&socket).unwrap();
    stream.write_all(&wire).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("Status: 500 Internal Server Error\r\n"), "{answer}");
    assert!(answer.contains(VIOLATION), "{answer}");
    drop(server);
    fs::remove_dir_all(&folder).unwrap();
}
