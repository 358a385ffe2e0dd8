//! Files that a person hands to an agent with a message: quoted in it, so that they reach
//! whoever the message reaches and change nothing in the workspace.

use crate::{EngineError, ErrorKind};
use nexus_core::Task;
use std::{fs::File, io::Read, path::Path};

/// The message with the files behind it, each fenced so that it cannot end its own quotation.
pub(crate) fn quote_files(mut text: String, files: &[String]) -> Result<String, EngineError> {
    for name in files {
        let body = read(Path::new(name))?;
        let longest = body.lines().map(ticks).max().unwrap_or(0);
        let fence = "`".repeat(longest.max(2) + 1);
        text.push_str(&format!(
            "\n\nThe file {name}:\n{fence}\n{}\n{fence}",
            body.trim_end()
        ));
    }
    Ok(text)
}

fn ticks(line: &str) -> usize {
    line.trim_start().bytes().take_while(|b| *b == b'`').count()
}

fn read(path: &Path) -> Result<String, EngineError> {
    let refuse = |why: String| {
        let text = format!("failed to hand over {}: {why}", path.display());
        EngineError::new(ErrorKind::BadInput, text)
    };
    if !path.is_absolute() {
        return Err(refuse("give its whole path".to_owned()));
    }
    let meta = path.metadata().map_err(|error| refuse(error.to_string()))?;
    if !meta.is_file() {
        return Err(refuse("it is no file".to_owned()));
    }
    let mut bytes = Vec::new();
    let limit = Task::MESSAGE_LIMIT;
    let file = File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut head = file.take(limit as u64 + 1);
    head.read_to_end(&mut bytes)
        .map_err(|error| refuse(error.to_string()))?;
    if bytes.len() > limit {
        let why = format!(
            "it is larger than {limit} bytes: put it into the project's folder and name it"
        );
        return Err(refuse(why));
    }
    String::from_utf8(bytes).map_err(|_| {
        refuse("it is no text: put it into the project's folder and name it".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_file_is_quoted_whole_and_cannot_end_its_quotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.md");
        std::fs::write(&path, "a\n```\nb\n").unwrap();
        let name = path.to_str().unwrap().to_owned();
        let said = quote_files("Look:".into(), &[name]).unwrap();
        assert!(said.starts_with("Look:\n\nThe file "), "{said}");
        assert!(said.ends_with(":\n````\na\n```\nb\n````"), "{said}");
    }

    #[test]
    fn what_is_no_small_text_file_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let cases = [
            (file("binary", &[0xff, 0xfe, 0]), "it is no text"),
            (
                file("large", &vec![b'x'; Task::MESSAGE_LIMIT + 1]),
                "larger than",
            ),
            (dir.path().to_str().unwrap().to_owned(), "it is no file"),
            ("relative.txt".to_owned(), "its whole path"),
            ("/nothing/here".to_owned(), "No such file"),
        ];
        for (name, why) in cases {
            let error = quote_files(String::new(), std::slice::from_ref(&name)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadInput);
            assert!(error.message.contains(&name), "{}", error.message);
            assert!(error.message.contains(why), "{}", error.message);
        }
    }
}
