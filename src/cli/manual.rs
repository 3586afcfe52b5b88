//! What is told of the command line beside its options: in `--help`, and in the page of `man`.

use super::options::Options;
use anyhow::Context as _;
use clap::{Args, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use std::{
    env,
    ffi::OsStr,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

/// What concerns all commands. Lines that begin with two blanks stand as they are.
const SECTIONS: [(&str, &str); 7] = [
    (
        "Examples",
        "  cgigate http                                 try it: open the address it prints
  cgigate fastcgi --listen unix:/run/app.sock  behind nginx, Apache, lighttpd, HAProxy, Caddy
  cgigate config nginx                         what nginx needs for that
  cgigate get --connect unix:/run/app.sock /   ask it without nginx
  cgigate check records                        replay what --record wrote
  cp cgigate /usr/lib/cgi-bin/                 as CGI: nothing else is needed
",
    ),
    (
        "How it is started",
        "In this order, so that nothing a client sends can choose it:
  1. A listening socket on descriptor 0, or by LISTEN_FDS: FastCGI is served on it, or what a
     server command says. So spawn-fcgi, mod_fcgid, lighttpd and systemd start it.
  2. GATEWAY_INTERFACE or REQUEST_METHOD in the environment: one CGI request is answered, and
     the command line is not looked at.
  3. The command line.
",
    ),
    (
        "Which application answers",
        "  1. The one that --app names, or the variable CGIGATE_APP.
  2. The one with the executable's own name: ln -s cgigate hello.cgi
  3. The one that the first segment of the path names; for / the index.
`cgigate apps` lists them. One application alone takes every request.
",
    ),
    (
        "Values",
        "  SIZE  bytes: 8k, 16M, 1G
  D     how long: 500ms, 30s, 5m
",
    ),
    (
        "Environment",
        "Each option is also a variable, in capitals, with CGIGATE_ before it and _ for -: --max-body is
CGIGATE_MAX_BODY. The command line wins. White space stands between the values of what can be
repeated. A CGI process knows CGIGATE_APP, _MOUNT, _HANDLER (iis or cgi), _MAX_BODY, _VALIDATE and
_RECORD with its companions.
  CGIGATE_FILES_ROOT     the folder that the application `files` serves
  FCGI_WEB_SERVER_ADDRS  who may connect to fastcgi, beside --allow
  NO_COLOR               no colours, even on a terminal
",
    ),
    (
        "Signals",
        "  TERM, INT, QUIT  no new connections; ends when what is in flight has ended, or after
                   --graceful-timeout. A second one ends it at once.
  HUP              new workers from the executable now on disk take the listeners and the idle
                   connections over, then the old ones finish: no request fails. If the new ones
                   do not start, the old ones go on.
  USR1             log files are opened anew.
",
    ),
    (
        "Exit status",
        "  0  done
  1  failed while it ran: one line on stderr says at what, and why
  2  wrong usage
",
    ),
];

/// Examples of single commands, for their `--help`.
pub(super) mod examples {
    pub(in crate::cli) const DESK: &str = "Examples:
  cgigate cgi '/environ/a%20b?c=d'
  echo hello | cgigate cgi -X POST /echo
  cgigate cgi --environ fixtures/cgi/hello-get/environ --validate";
    pub(in crate::cli) const IIS: &str = "Examples:
  cgigate iis '/environ/a%20b?c=d'";
    pub(in crate::cli) const FASTCGI: &str = "Examples:
  cgigate fastcgi --listen unix:/run/app.sock --socket-owner www-data
  cgigate fastcgi --listen 0.0.0.0:9000 --allow 10.0.0.0/8 --workers auto
  CGIGATE_LISTEN=systemd CGIGATE_THREADS=16 cgigate fastcgi

SIZE is 8k, 16M, 1G; D, how long, is 500ms, 30s, 5m.";
    pub(in crate::cli) const SCGI: &str = "Examples:
  cgigate scgi --listen unix:/run/app.sock --mount /app

SIZE is 8k, 16M, 1G; D, how long, is 500ms, 30s, 5m.";
    pub(in crate::cli) const UWSGI: &str = "Examples:
  cgigate uwsgi --listen unix:/run/app.sock --mount /app

SIZE is 8k, 16M, 1G; D, how long, is 500ms, 30s, 5m.";
    pub(in crate::cli) const HTTP: &str = "Examples:
  cgigate http
  CGIGATE_FILES_ROOT=. cgigate http --app files --listen :8080

SIZE is 8k, 16M, 1G; D, how long, is 500ms, 30s, 5m.";
    pub(in crate::cli) const GET: &str = "Examples:
  cgigate get --connect unix:/run/app.sock -i '/hello?a=1'
  cgigate get -d @body.json -H 'Content-Type: application/json' /echo
  cgigate get --connect unix:/run/php/php-fpm.sock \\
      --param SCRIPT_FILENAME=/srv/www/index.php /
  cgigate get --timeout 2s --ping     (for a health check)

Exit status: 0 for a 2xx or 3xx, 1 for another status and whatever goes wrong, 2 for wrong usage.";
    pub(in crate::cli) const CONFIG: &str = "Examples:
  cgigate config nginx --listen unix:/run/app.sock --mount /app
  cgigate config apache cgi
  cgigate config systemd --listen unix:/run/app.sock --app hello";
    pub(in crate::cli) const CHECK: &str = "Examples:
  cgigate fastcgi --record records    (and ask it something)
  cgigate check records

Exit status: 0 when all is as it was, 1 when something is not, 2 for wrong usage.";
    pub(in crate::cli) const CONFORM: &str = "Examples:
  cgigate conform unix:/run/app.sock
  cgigate conform 127.0.0.1:9000 --path /hello --timeout 2s
  cgigate conform unix:/run/php/php-fpm.sock --param SCRIPT_FILENAME=/srv/www/index.php

Each check has its section of the specification, FastCGI 1.0.
Exit status: 0 when none has failed, 1 when one has, 2 for wrong usage.";
    pub(in crate::cli) const COMPLETIONS: &str = "Examples:
  cgigate completions bash > /etc/bash_completion.d/cgigate
  cgigate completions zsh > /usr/local/share/zsh/site-functions/_cgigate
  cgigate completions fish > ~/.config/fish/completions/cgigate.fish";
}

/// What follows the commands in `--help`.
pub(super) fn help() -> String {
    let sections = SECTIONS.iter().map(|(title, text)| format!("{title}:\n{}", indented(text)));
    sections.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn indented(text: &str) -> String {
    let line = |line: &str| match line.starts_with("  ") {
        true => format!("{line}\n"),
        false => format!("  {line}\n"),
    };
    text.lines().map(line).collect()
}

/// The command line under the name that this executable has.
fn command() -> Command {
    let first = env::args_os().next().unwrap_or_default();
    let name = Path::new(&first).file_name().and_then(OsStr::to_str).unwrap_or("cgigate");
    // clap wants it for ever, which for this command is not long.
    let name: &'static str = name.to_owned().leak();
    let mut command = Options::command().name(name).bin_name(name);
    command.build();
    command
}

/// `man`: one page, in roff.
pub(super) fn man() -> anyhow::Result<ExitCode> {
    let mut page = Vec::new();
    render(&command(), &mut page).context("make the manual page")?;
    io::stdout().write_all(&page).context("write the manual page")?;
    Ok(ExitCode::SUCCESS)
}

fn render(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    // The date of a page is that of its version: none that is made anew with each build.
    let man = Man::new(command.clone()).section("1").manual("User Commands").date("");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    page.write_all(b".SH COMMANDS\n")?;
    // Servers have the same options, which are told once.
    let mut told: Option<Vec<&str>> = None;
    for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
        let usage = command.clone().render_usage().to_string();
        writeln!(page, ".SS {}", escape(usage.trim_start_matches("Usage: ")))?;
        let man = Man::new(command.clone().mut_arg("help", |help| help.hide(true)));
        page.write_all(&body(|out| man.render_description_section(out))?)?;
        let options: Vec<_> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
        if told.as_ref() == Some(&options) && options.len() > 5 {
            page.write_all(b".PP\nIts options are those of the command before.\n")?;
        } else {
            page.write_all(&body(|out| man.render_options_section(out))?)?;
            told = Some(options);
        }
        if let Some(after) = command.get_after_help() {
            page.write_all(b".PP\n")?;
            verbatim(page, after.to_string().lines())?;
        }
    }
    for (title, text) in SECTIONS {
        writeln!(page, ".SH {}", title.to_uppercase())?;
        verbatim(page, text.lines())?;
    }
    page.write_all(b".SH SEE ALSO\n.BR nginx (8),\n.BR apache2 (8),\n.BR systemd.socket (5)\n")
}

/// What renders as a section of its own, without its heading and what stands above that.
fn body(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    render(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let above = [".SH ", ".ie", ".el"];
    let inner = text.lines().filter(|line| !above.iter().any(|begin| line.starts_with(begin)));
    Ok(inner.flat_map(|line| [line.as_bytes(), b"\n"].concat()).collect())
}

/// Lines as they are, those that do not begin with blanks as paragraphs.
fn verbatim<'t>(page: &mut Vec<u8>, lines: impl Iterator<Item = &'t str>) -> io::Result<()> {
    let mut plain = false;
    for line in lines {
        if line.starts_with("  ") != plain {
            plain = !plain;
            page.write_all(if plain { b".PP\n.nf\n" } else { b".fi\n.PP\n" })?;
        }
        match line {
            "" => page.write_all(b".PP\n")?,
            line => writeln!(page, "{}", escape(line))?,
        }
    }
    page.write_all(if plain { b".fi\n" } else { b"" })
}

/// Text that roff takes for text.
fn escape(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

/// Which shell.
#[derive(Args, Debug)]
pub(super) struct Completions {
    /// The shell that is to complete
    #[arg(value_enum)]
    shell: Shell,
}

/// `completions SHELL`: a script for that shell.
pub(super) fn completions(completions: &Completions) -> anyhow::Result<ExitCode> {
    let mut command = command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(completions.shell, &mut command, name, &mut script);
    io::stdout().write_all(&script).context("write the completions")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_told_of_and_is_a_variable() {
        let mut command = Options::command();
        command.build();
        // One a line, white space between: these read their variables themselves.
        const OWN: [&str; 2] = ["header", "param"];
        let mut options = 0;
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for arg in command.get_arguments() {
                let what = format!("{} {}", command.get_name(), arg.get_id());
                assert!(arg.get_help().is_some_and(|help| !help.to_string().is_empty()), "{what}");
                let Some(long) = arg.get_long() else { continue };
                if !["help", "version"].contains(&long) && !OWN.contains(&long) {
                    let name = format!("CGIGATE_{}", long.to_uppercase().replace('-', "_"));
                    assert_eq!(arg.get_env(), Some(OsStr::new(&name)), "{what}");
                }
                options += 1;
            }
        }
        assert!(options > 100, "{options}");
    }

    #[test]
    fn roff_is_given_text() {
        assert_eq!(escape(r".a\n --b"), r"\&.a\en \-\-b");
    }
}
