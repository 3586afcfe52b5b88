//! No link in the project's texts leads nowhere, and no file that they name is missing. Links among
//! the documentation's own pages are rustdoc's to check.

// All of this file is tests.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below `folder` with one of these endings.
fn files(folder: &str, endings: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let is =
                |ending: &&str| path.extension().is_some_and(|it| it.to_str() == Some(*ending));
            match path.is_dir() {
                true => folders.push(path),
                false if endings.iter().any(is) => found.push(path),
                false => {}
            }
        }
    }
    found.sort();
    found
}

/// What there is to be read, beside the source.
fn texts() -> Vec<PathBuf> {
    let mut texts: Vec<_> = fs::read_dir(root()).unwrap().map(|it| it.unwrap().path()).collect();
    texts.retain(|path| path.extension().is_some_and(|it| it == "md"));
    texts.push(root().join("fixtures/README.md"));
    texts.extend(files("docs", &["md"]));
    texts
}

/// A text without its code, which links to nothing.
fn prose(text: &str) -> String {
    let without = |text: &str, fence| text.split(fence).step_by(2).collect::<String>();
    without(&without(text, "\n```"), "`")
}

/// Where the links and pictures of a text lead.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    for (before, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"'), ("\n[", '\n')] {
        for rest in text.split(before).skip(1) {
            let link = rest.split(end).next().unwrap();
            match before {
                // `[label]: address`, in a line of its own.
                "\n[" => links.extend(link.split_once("]: ").map(|(_, address)| address.trim())),
                _ => links.push(link),
            }
        }
    }
    links
}

/// The anchor that a heading has on either page: GitHub's and rustdoc's.
fn has_anchor(text: &str, anchor: &str) -> bool {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let made = |heading: &str| -> String {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(made).any(|heading| heading == anchor)
}

#[test]
fn every_link_leads_to_a_file_or_a_heading() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for file in texts() {
        let text = prose(&fs::read_to_string(&file).unwrap());
        for link in links(&text) {
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let to = file.parent().unwrap().join(path);
            let leads = match path {
                _ if link.starts_with("https://") => true,
                "" => has_anchor(&text, anchor),
                _ if anchor.is_empty() => to.exists(),
                _ => fs::read_to_string(to).is_ok_and(|text| has_anchor(&prose(&text), anchor)),
            };
            if !leads {
                wrong.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 8, "{seen} links");
}

/// A page of `cgigate::docs` is read on two sites, and beside it there are other files on each.
#[test]
fn what_is_a_page_of_the_documentation_too_links_to_no_file() {
    let source = fs::read_to_string(root().join("src/docs.rs")).unwrap();
    let mut pages = 0;
    for rest in source.split("include_str!(\"../").skip(1) {
        let page = rest.split('"').next().unwrap();
        let text = prose(&fs::read_to_string(root().join(page)).unwrap());
        for link in links(&text) {
            assert!(link.starts_with("https://") || link.starts_with('#'), "{page}: {link}");
        }
        pages += 1;
    }
    assert!(pages > 5, "{pages} pages");
}

/// In text between backticks, as far as it has the look of one of the project's files.
#[test]
fn every_file_that_is_named_is_there() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let rooms = ["docs/", "examples/", "fixtures/", "scripts/", "src/", "tests/"];
    let mut all = texts();
    for folder in ["src", "tests", "examples"] {
        all.extend(files(folder, &["rs", "py"]));
    }
    for file in all {
        let text = fs::read_to_string(&file).unwrap();
        for line in text.lines() {
            for word in line.split('`').skip(1).step_by(2) {
                // With its arguments, or the line of a table of patterns.
                let word = word.split(' ').next().unwrap().trim_end_matches('/');
                let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
                let named = rooms.iter().any(|room| word.starts_with(room));
                let upper = word.split('/').any(|part| part.len() > 1 && is_upper(part));
                if !named || upper || !word.chars().all(plain) {
                    continue;
                }
                seen += 1;
                let folder = file.parent().unwrap();
                if ![root(), folder].iter().any(|folder| exists(&folder.join(word))) {
                    wrong.push(format!("{}: {word}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 50, "{seen} names");
}

/// A placeholder: `DIR`.
fn is_upper(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Test files are named as cargo does, without their ending.
fn exists(path: &Path) -> bool {
    path.exists() || path.with_extension("rs").exists()
}
